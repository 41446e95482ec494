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
	Internal:             {"internal", http.StatusInternalServerError, "Internal error", "Posthorn failed. Try again with the same Idempotency-Key. If it fails again, report the request id."},
	MalformedJSON:        {"malformed-json", http.StatusBadRequest, "Malformed JSON", "Send one UTF-8 JSON object. The pointer and the byte offset say where reading stopped."},
	InvalidMessage:       {"invalid-message", http.StatusBadRequest, "Invalid message", "`errors` lists each violation with its JSON pointer. Correct all of them, and send again."},
	InvalidRequest:       {"invalid-request", http.StatusBadRequest, "Invalid request", "A header or query parameter is wrong. The detail names it."},
	Unauthenticated:      {"unauthenticated", http.StatusUnauthorized, "Authentication failed", "Send a valid key or an Entra ID token as `Authorization: Bearer …`, or sign the request with the caller's access key."},
	Forbidden:            {"forbidden", http.StatusForbidden, "Forbidden by the caller's policy", "The detail names the rule. The operator can change it with `posthorn callers set`."},
	NotFound:             {"not-found", http.StatusNotFound, "Not found", "There is nothing here for this caller."},
	MethodNotAllowed:     {"method-not-allowed", http.StatusMethodNotAllowed, "Method not allowed", "The Allow header lists what this route understands."},
	InProgress:           {"in-progress", http.StatusConflict, "Request in progress", "The first request with this Idempotency-Key or Operation-Id is still in progress. Send it again after Retry-After."},
	TooLate:              {"too-late", http.StatusConflict, "Too late", "The message is being sent or has ended. Its status says which."},
	DeadlinePassed:       {"deadline-passed", http.StatusUnprocessableEntity, "Deadline passed", "The message waited until its deadline and was not sent."},
	Gone:                 {"gone", http.StatusGone, "No longer available", "The link or upload has expired or was revoked, or the content is lost."},
	TooLarge:             {"too-large", http.StatusRequestEntityTooLarge, "Too large", "The detail names the limit."},
	UnsupportedMediaType: {"unsupported-media-type", http.StatusUnsupportedMediaType, "Unsupported media type", "Send `Content-Type: application/json`, or multipart with the JSON first, without a Content-Encoding."},
	KeyReused:            {"key-reused", http.StatusUnprocessableEntity, "Idempotency key reused", "This Idempotency-Key or Operation-Id belongs to a different message. Use a new one for a new message."},
	OverQuota:            {"over-quota", http.StatusTooManyRequests, "Quota exceeded", "No sending quota is free. Send again after Retry-After."},
	RequestTimeout:       {"request-timeout", http.StatusRequestTimeout, "Request timeout", "The body did not arrive in time. Send it again."},
	RefusedByACS:         {"refused-by-acs", http.StatusUnprocessableEntity, "Message rejected by ACS", "The upstream code gives the reason. ACS would reject the same message again."},
	MessageFailed:        {"message-failed", http.StatusUnprocessableEntity, "Message failed", "`GET …/result` answers with this when the message failed. `error.code` and the detail give the reason. With `OutcomeUnknown`, ask a recipient before you send the message again."},
	ACSBusy:              {"acs-busy", http.StatusTooManyRequests, "ACS limit reached", "ACS has reached a limit of the subscription. Send again after Retry-After."},
	ACSFailed:            {"acs-failed", http.StatusBadGateway, "ACS failed", "The message was not sent. Send it again."},
	ACSMisconfigured:     {"acs-misconfigured", http.StatusBadGateway, "ACS rejected this deployment", "The operator must correct the identity, the role or the domain."},
	Unavailable:          {"unavailable", http.StatusServiceUnavailable, "Service unavailable", "Posthorn cannot reach storage or has no memory left. Nothing was sent. Try again after Retry-After."},
	Paused:               {"paused", http.StatusServiceUnavailable, "Sending paused", "This caller or all sending is paused. The detail gives the reason. Try again after Retry-After, or ask the operator."},
	TooManyQueued:        {"too-many-queued", http.StatusTooManyRequests, "Too many queued messages", "This caller or form has reached its limit of queued messages. Nothing was taken. Send again after Retry-After, or ask the operator to raise `--max-waiting`."},
	TooManyRequests:      {"too-many-requests", http.StatusTooManyRequests, "Too many requests", "A form was sent too often, from one address or in total. Send it again after Retry-After."},
	HostUnsupported:      {"host-unsupported", http.StatusInternalServerError, "Unsupported Functions host", "The operator must run a Functions host of version 4.1040 or newer, with `customHandler.enableProxyingHttpRequest` in host.json."},
	TooManyUploads:       {"too-many-uploads", http.StatusTooManyRequests, "Too many open uploads", "This caller has reached its limit of open uploads. Name one in a message, let one expire, or ask the operator to raise `--max-uploads`."},
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
