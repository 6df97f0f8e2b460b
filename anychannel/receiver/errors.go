package receiver

import (
	"net/http"

	"github.com/f737063d/caddy-connector/internal/problem"
)

// What the handler answers itself. The codes are part of the interface.
var (
	errMethod = &problem.Problem{
		Status: http.StatusMethodNotAllowed, Code: "method_not_allowed",
		Message: "Only POST is allowed.", ProxyError: "http_request_denied",
	}
	errMediaType = &problem.Problem{
		Status: http.StatusUnsupportedMediaType, Code: "media_type_unsupported",
		Message: "The body must be a form (application/x-www-form-urlencoded) or application/json, in UTF-8 and not compressed.", ProxyError: "http_request_error",
	}
	errForm = &problem.Problem{
		Status: http.StatusBadRequest, Code: "form_invalid",
		Message: "The form has a malformed escape, or too many fields.", ProxyError: "http_request_error",
	}
	errJSON = &problem.Problem{
		Status: http.StatusBadRequest, Code: "json_invalid",
		Message: "The request body is not a JSON object in UTF-8.", ProxyError: "http_request_error",
	}
	errFieldMissing = &problem.Problem{
		Status: http.StatusBadRequest, Code: "field_missing",
		Message: "The fields instance_metadata and client_data are both required.", ProxyError: "http_request_error",
	}
	errFieldRepeated = &problem.Problem{
		Status: http.StatusBadRequest, Code: "field_repeated",
		Message: "The fields instance_metadata and client_data may occur only once.", ProxyError: "http_request_error",
	}
	errField = &problem.Problem{
		Status: http.StatusBadRequest, Code: "field_invalid",
		Message: "The fields instance_metadata and client_data must be strings of Unicode characters.", ProxyError: "http_request_error",
	}
	errMetadata = &problem.Problem{
		Status: http.StatusBadRequest, Code: "metadata_invalid",
		Message: "The instance_metadata is not UTF-8, or longer than 5000 characters.", ProxyError: "http_request_error",
	}
	errSecret = &problem.Problem{
		Status: http.StatusUnauthorized, Code: "secret_invalid",
		Message: "The instance_metadata does not hold a valid secret.", ProxyError: "http_request_denied",
	}
	errClientData = &problem.Problem{
		Status: http.StatusBadRequest, Code: "client_data_invalid",
		Message: "The client_data is neither blank nor JSON in UTF-8.", ProxyError: "http_request_error",
	}
)
