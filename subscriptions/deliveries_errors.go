package subscriptions

import "net/http"

// What those are answered who look at deliveries, or have them sent again.
var (
	errDelivery     = refuse(http.StatusNotFound, "delivery_unknown", requestDenied, "There is no delivery with this id.")
	errReplay       = refuse(http.StatusNotFound, "replay_unknown", requestDenied, "There is no replay with this id.")
	errPaused       = refuse(http.StatusConflict, "subscription_paused", requestDenied, "The subscription is paused; resume it first.")
	errDisabled     = refuse(http.StatusConflict, "subscription_disabled", requestDenied, "The subscription is disabled, because its target failed for long; a test that succeeds enables it.")
	errExpired      = refuse(http.StatusConflict, "subscription_expired", requestDenied, "The subscription has expired; subscribe again.")
	errInactive     = refuse(http.StatusConflict, "subscription_inactive", requestDenied, "The subscription is not active.")
	errEventExpired = refuse(http.StatusConflict, "event_expired", requestDenied, "The event is not kept any more.")
	errReplayLimit  = refuse(http.StatusConflict, "replay_limit", requestDenied, "The user has as many replays running as are allowed.")
	errTestRate     = refuse(http.StatusTooManyRequests, "rate_limited", requestDenied, "A subscription can be tested once in a second.")
	errOwnerRate    = refuse(http.StatusTooManyRequests, "rate_limited", requestDenied, "The user has had targets asked too often just now.")

	errState       = refuse(http.StatusBadRequest, "state_invalid", requestError, "The state must be pending, delivered, dead or cancelled, or several of them with commas between them.")
	errSince       = refuse(http.StatusBadRequest, "since_invalid", requestError, "The since must be a time, as in RFC 3339.")
	errUntil       = refuse(http.StatusBadRequest, "until_invalid", requestError, "The until must be a time, as in RFC 3339.")
	errTypeQuery   = refuse(http.StatusBadRequest, "event_type_invalid", requestError, "The event_type must be a type such as task.create.")
	errReplaySince = invalid("since_invalid", "The since must be a time in the past, as in RFC 3339.")
	errReplayUntil = invalid("until_invalid", "The until must be a time that is not before since, as in RFC 3339.")
	errStates      = invalid("states_invalid", "The states must be an array of at least one of pending, delivered, dead and cancelled.")
	errTestType    = invalid("event_type_unknown", "The type is not one of the types of events that there are.")
)
