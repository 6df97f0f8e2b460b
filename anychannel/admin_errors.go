package anychannel

import (
	"net/http"

	"github.com/f737063d/caddy-connector/internal/problem"
)

func refuseAdmin(status int, code, message string) adminError {
	return adminError{&problem.Problem{Status: status, Code: code, Message: message}}
}

func invalid(code, message string) adminError {
	return refuseAdmin(http.StatusUnprocessableEntity, code, message)
}

// What the admin API answers. The codes are part of the interface.
var (
	errAdminMethod    = refuseAdmin(http.StatusMethodNotAllowed, "method_not_allowed", "This method is not allowed here.")
	errAdminMediaType = refuseAdmin(http.StatusUnsupportedMediaType, "media_type_unsupported", "The body must be sent as application/json, in UTF-8 and not compressed.")
	errAdminBody      = refuseAdmin(http.StatusBadRequest, "body_invalid", "The body is not a JSON object in UTF-8, with each member once.")
	errAdminNotReady  = refuseAdmin(http.StatusServiceUnavailable, "not_ready", "The database is not ready.")
	errAdminInternal  = refuseAdmin(http.StatusInternalServerError, "internal", "The request could not be carried out; the log says why.")
	errNoDatabase     = refuseAdmin(http.StatusNotFound, "database_unused", "No handler of the config needs a database.")
	errPageLimit      = refuseAdmin(http.StatusBadRequest, "limit_invalid", "The limit is not a number from 1 to 100.")
	errCursor         = refuseAdmin(http.StatusBadRequest, "cursor_invalid", "The cursor is not one that a page ended with.")

	errInstanceUnknown = refuseAdmin(http.StatusNotFound, "instance_unknown", "There is no instance with this name.")
	errInstanceMissing = refuseAdmin(http.StatusConflict, "instance_missing", "There is no instance with the name that the ticket shall be linked to: make it first.")
	errTicketUnknown   = refuseAdmin(http.StatusNotFound, "ticket_unknown", "There is no link of this ticket.")

	errInstanceName    = invalid("instance_name_invalid", "The name of an instance must be 1 to 64 letters, digits, '_', '.' or '-'.")
	errTicketNumber    = invalid("ticket_id_invalid", "The id of a ticket must be its number, of at most 19 digits.")
	errInstanceMember  = invalid("member_unknown", "The body has a member other than integration, metadata and active.")
	errTicketMember    = invalid("member_unknown", "The body has a member other than instance and agents.")
	errIntegrationName = invalid("integration_invalid", "The integration must be a name of 1 to 64 letters, digits, '_', '.' or '-'.")
	errMetadataMissing = invalid("metadata_missing", "A new instance, and one whose integration changes, needs metadata.")
	errMetadata        = invalid("metadata_invalid", "The metadata must be a text that is not empty.")
	errMetadataLong    = invalid("metadata_too_long", "The metadata is longer than 5000 characters.")
	errActive          = invalid("active_invalid", "The member active must be true or false.")
	errAgents          = invalid("agents_invalid", "The agents must be an array of at most 500 ids of 1 to 255 visible ASCII characters.")
)
