package problem

import (
	"net/http"

	"github.com/posthorn/posthorn/handler/version"
)

// Kind is a sort of problem. Its slug, and so its type URI, never changes.
type Kind int

// The kinds. docs/problems.md is generated from their table.
const (
	Internal Kind = iota
	MalformedJSON
	InvalidMessage
	InvalidRequest
	Unauthenticated
	Forbidden
	NotFound
	MethodNotAllowed
	InProgress
	TooLate
	DeadlinePassed
	Gone
	TooLarge
	UnsupportedMediaType
	KeyReused
	OverQuota
	RequestTimeout
	RefusedByACS
	MessageFailed
	ACSBusy
	ACSFailed
	ACSMisconfigured
	Unavailable
	Paused
	HostUnsupported
	TooManyUploads
	TooManyQueued
	TooManyRequests
)

// TypeBase is what a problem's type URI starts with; the slug follows.
const TypeBase = version.Docs + "problems.md#"

type entry struct {
	slug   string
	status int
	title  string
	advice string
}

var kinds = map[Kind]entry{
	Internal:             {"internal", http.StatusInternalServerError, "Internal error", "A fault of Posthorn. Try again with the same Idempotency-Key; report the request id if it persists."},
	MalformedJSON:        {"malformed-json", http.StatusBadRequest, "The body is not acceptable JSON", "Send one UTF-8 JSON object. The pointer and the byte offset say where reading stopped."},
	InvalidMessage:       {"invalid-message", http.StatusBadRequest, "The message is not valid", "Every fault is listed with its JSON pointer. Correct all of them and send again."},
	InvalidRequest:       {"invalid-request", http.StatusBadRequest, "The request is not valid", "A header or query parameter is wrong; the detail names it."},
	Unauthenticated:      {"unauthenticated", http.StatusUnauthorized, "Who is calling?", "Send a live key or a token of Entra ID as `Authorization: Bearer …`, or sign the request with its ACS access key."},
	Forbidden:            {"forbidden", http.StatusForbidden, "Outside the caller's policy", "The detail names the rule. The operator can change it with `posthorn callers set`."},
	NotFound:             {"not-found", http.StatusNotFound, "Not found", "There is nothing here for this caller."},
	MethodNotAllowed:     {"method-not-allowed", http.StatusMethodNotAllowed, "Method not allowed", "The Allow header lists what this route understands."},
	InProgress:           {"in-progress", http.StatusConflict, "The first request is still under way", "The same Idempotency-Key or Operation-Id is being worked on. Wait for Retry-After, then ask again."},
	TooLate:              {"too-late", http.StatusConflict, "Too late", "The message is being sent or has ended; its status says which."},
	DeadlinePassed:       {"deadline-passed", http.StatusUnprocessableEntity, "The deadline has passed", "The message waited until its deadline and was not sent."},
	Gone:                 {"gone", http.StatusGone, "No longer available", "It has expired or was withdrawn."},
	TooLarge:             {"too-large", http.StatusRequestEntityTooLarge, "Too large", "The detail says which limit was passed."},
	UnsupportedMediaType: {"unsupported-media-type", http.StatusUnsupportedMediaType, "Unsupported media type", "Send `Content-Type: application/json`, or multipart with the JSON first, without a Content-Encoding."},
	KeyReused:            {"key-reused", http.StatusUnprocessableEntity, "The key belongs to another message", "This Idempotency-Key or Operation-Id was used for a different message. Use a new one for a new message."},
	OverQuota:            {"over-quota", http.StatusTooManyRequests, "No sending quota left", "Retry-After says when there is room again."},
	RequestTimeout:       {"request-timeout", http.StatusRequestTimeout, "The request took too long", "The body did not arrive in time. Send it again."},
	RefusedByACS:         {"refused-by-acs", http.StatusUnprocessableEntity, "ACS refused the message", "The upstream code says why. The same message would be refused again."},
	MessageFailed:        {"message-failed", http.StatusUnprocessableEntity, "The message did not go out", "What a client hears that waited for the end of a message. `error.code` and the detail say why; with `OutcomeUnknown` ask a recipient before sending it again."},
	ACSBusy:              {"acs-busy", http.StatusTooManyRequests, "ACS asks to wait", "ACS reached a limit of the subscription. Retry-After says when to try again."},
	ACSFailed:            {"acs-failed", http.StatusBadGateway, "ACS failed", "The message was not sent. Send it again."},
	ACSMisconfigured:     {"acs-misconfigured", http.StatusBadGateway, "ACS does not accept this deployment", "The operator must correct the identity, the role or the domain."},
	Unavailable:          {"unavailable", http.StatusServiceUnavailable, "Not available now", "Storage could not be reached, so nothing was sent. Try again after Retry-After."},
	Paused:               {"paused", http.StatusServiceUnavailable, "Sending is paused", "The detail says whether this caller or all sending is paused, and why. Try again after Retry-After, or ask the operator."},
	TooManyQueued:        {"too-many-queued", http.StatusTooManyRequests, "Too many queued messages", "As many messages of this caller or form wait as may. Nothing was taken. Send it again after Retry-After, or ask the operator to raise `--max-waiting`."},
	TooManyRequests:      {"too-many-requests", http.StatusTooManyRequests, "Too many requests", "A form was sent too often, from one address or altogether. Send it again after Retry-After."},
	HostUnsupported:      {"host-unsupported", http.StatusInternalServerError, "The Functions host is not supported", "The operator must run a Functions host of version 4.1040 or newer, with `customHandler.enableProxyingHttpRequest` in host.json."},
	TooManyUploads:       {"too-many-uploads", http.StatusTooManyRequests, "Too many open uploads", "As many uploads of this caller are open as may be. Name one in a message, let one expire, or ask the operator to raise `--max-uploads`."},
}

// Kinds returns all kinds in order.
func Kinds() []Kind {
	all := make([]Kind, 0, len(kinds))
	for k := Internal; int(k) < len(kinds); k++ {
		all = append(all, k)
	}
	return all
}

// KindOf returns the kind with a slug, Internal if there is none.
func KindOf(slug string) Kind {
	for k, e := range kinds {
		if e.slug == slug {
			return k
		}
	}
	return Internal
}

// Slug is the stable last part of the type URI.
func (k Kind) Slug() string { return kinds[k].slug }

// Type is the RFC 9457 type.
func (k Kind) Type() string { return TypeBase + kinds[k].slug }

// Status is the HTTP status code.
func (k Kind) Status() int { return kinds[k].status }

// Title is the RFC 9457 title.
func (k Kind) Title() string { return kinds[k].title }

// Advice is what docs/problems.md tells the reader to do.
func (k Kind) Advice() string { return kinds[k].advice }

// String is the slug.
func (k Kind) String() string { return k.Slug() }
