package caller

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/posthorn/posthorn/handler/accept/keyring"
	"github.com/posthorn/posthorn/handler/problem"
)

// MaxClockSkew is how far the x-ms-date of a signed request may be off.
// Source: learn.microsoft.com, "Sign an HTTP request" (Communication Services).
const MaxClockSkew = 5 * time.Minute

// maxSigned is how many bytes a target or a host has at most that can have been signed: a
// stranger has each of them hashed for each key of each caller that may sign. That of the
// longest request of ACS's clients has 200.
const maxSigned = 1 << 10

// keyHeaders are the places other than Authorization where clients that people
// already have put a key.
var keyHeaders = []string{"X-Api-Key", "X-Functions-Key", "X-Postmark-Server-Token"}

// Keyed says whether a request has a key of any kind, right or wrong: some APIs answer a
// request without a key differently from one whose key is not valid.
func Keyed(h http.Header) bool {
	return h.Get("Authorization") != "" || slices.ContainsFunc(keyHeaders, func(name string) bool { return h.Get(name) != "" })
}

// Request is the part of an HTTP request that proves who calls.
type Request struct {
	Method string
	Target string   // path and query as they came, not decoded
	Hosts  []string // the names under which the caller may have reached us; some may be ""
	Header http.Header
}

// Proof is the outcome of Authenticate.
type Proof struct {
	Caller Caller
	// By is how the caller has proven itself: ByKey, BySignature or ByToken.
	By string
	// Generation is the generation of the caller's key; 0 for a token.
	Generation int64
	// BodySHA256 is what the body's hash must be; nil unless the request was
	// signed. Nothing of the body counts before it was compared.
	BodySHA256 []byte
}

// The ways in which a caller proves itself.
const (
	ByKey       = "key"
	BySignature = "signature"
	ByToken     = "token"
)

// Authenticate returns who made req. No key, a wrong, dead or unknown one, and a
// signature that does not fit are all the same problem, Unauthenticated, whose
// detail says what was looked for. Storage out of reach is Unavailable.
func (r *Registry) Authenticate(ctx context.Context, req Request) (Proof, error) {
	proof, err := r.authenticate(ctx, req)
	if err == nil {
		r.NoteUse(ctx, keyring.KeyID{Name: proof.Caller.Name, Generation: proof.Generation})
	}
	return proof, err
}

func (r *Registry) authenticate(ctx context.Context, req Request) (Proof, error) {
	authorization := req.Header.Values("Authorization")
	if len(authorization) > 1 {
		return Proof{}, problem.New(problem.Unauthenticated, "The request has more than one Authorization header. Send one.")
	}
	if len(authorization) == 1 {
		if parameters, ok := strings.CutPrefix(authorization[0], "HMAC-SHA256 "); ok {
			return r.bySignature(ctx, req, parameters)
		}
		scheme, key, found := strings.Cut(authorization[0], " ")
		if !found {
			scheme, key = "Bearer", authorization[0]
		}
		if key = strings.TrimSpace(key); strings.EqualFold(scheme, "Bearer") {
			if looksLikeToken(key) {
				return r.byToken(ctx, key)
			}
			return r.byKey(ctx, key)
		}
		return Proof{}, problem.New(problem.Unauthenticated, "The Authorization scheme is not understood. Send `Authorization: Bearer` with a key (`ph_…`) or a token of Entra ID, or sign the request with an ACS access key.")
	}
	for _, name := range keyHeaders {
		if key := req.Header.Get(name); key != "" {
			return r.byKey(ctx, key)
		}
	}
	return Proof{}, problem.New(problem.Unauthenticated, "The request has no key. Send `Authorization: Bearer ph_…`; the operator makes one with `posthorn callers add`.")
}

var (
	// errUnlisted says that a proof is good, and that its caller is in no list yet.
	errUnlisted = errors.New("the list does not have the caller")
	// errUnproven is errUnlisted for a signature. Anyone can make up a signature, so no
	// request waits for a list.
	errUnproven = fmt.Errorf("%w, if there is one", errUnlisted)
)

// findListed lets find look for a caller in the list and, if it is not there, in the list as
// it is now: the caller, or its key, may just have been made.
func (r *Registry) findListed(ctx context.Context, find func(map[string]Caller) (Proof, error)) (Proof, error) {
	came := r.Moment()
	known, err := r.Known(ctx)
	if err != nil {
		return Proof{}, err
	}
	proof, err := find(known)
	if !errors.Is(err, errUnlisted) || errors.Is(err, errUnproven) && !r.CanReadNow() {
		return proof, err
	}
	if known, err = r.Since(ctx, came); err != nil {
		return Proof{}, err
	}
	return find(known)
}

// byKey reads no list for a key that this deployment has not made.
func (r *Registry) byKey(ctx context.Context, key string) (Proof, error) {
	const no = "The key is not valid: it is incomplete, was made by another deployment, or has been revoked."
	id, ok := r.Issued(key)
	if !ok {
		return Proof{}, problem.New(problem.Unauthenticated, no)
	}
	return r.findListed(ctx, func(known map[string]Caller) (Proof, error) {
		switch c := known[id.Name]; {
		case slices.Contains(c.Generations, id.Generation):
			return Proof{Caller: c, By: ByKey, Generation: id.Generation}, nil
		case id.Generation <= c.Last: // it never comes back
			return Proof{}, problem.New(problem.Unauthenticated, no)
		}
		return Proof{}, problem.Wrap(problem.Unauthenticated, no, errUnlisted)
	})
}

// signedPrefix is what the parameters of a signature start with. ACS's clients
// write just that; another order or choice would sign something else.
const signedPrefix = "SignedHeaders=x-ms-date;host;x-ms-content-sha256&Signature="

// bySignature checks ACS's HMAC scheme. It names no key, so the MAC of every live
// generation of every caller that may sign is tried. It reads no list for what cannot be a
// signature.
// Source: learn.microsoft.com, "Sign an HTTP request" (Communication Services).
func (r *Registry) bySignature(ctx context.Context, req Request, parameters string) (Proof, error) {
	no := func(why string) (Proof, error) {
		return Proof{}, problem.New(problem.Unauthenticated, "The HMAC signature was not accepted: %s", why)
	}
	signature, ok := strings.CutPrefix(parameters, signedPrefix)
	if !ok {
		return no("the signed headers must be x-ms-date;host;x-ms-content-sha256.")
	}
	want, err := decode32(signature)
	if err != nil {
		return no("the signature is not the Base64 of 32 bytes.")
	}
	date, ok := once(req.Header, "X-Ms-Date")
	at, err := http.ParseTime(date)
	if !ok || err != nil {
		return no("x-ms-date must be there once, as an HTTP date.")
	}
	if d := r.now().Sub(at); d > MaxClockSkew || d < -MaxClockSkew {
		return no("x-ms-date is more than 5 minutes from this server's clock.")
	}
	contentHash, ok := once(req.Header, "X-Ms-Content-Sha256")
	bodyHash, err := decode32(contentHash)
	if !ok || err != nil {
		return no("x-ms-content-sha256 must be there once, as the Base64 of a SHA-256.")
	}
	if long := func(s string) bool { return len(s) > maxSigned }; long(req.Target) || slices.ContainsFunc(req.Hosts, long) {
		return no("the path with its query, and the host, have at most 1024 bytes each.")
	}
	var texts [][]byte
	for _, target := range spellings(req.Target) {
		for _, host := range distinct(req.Hosts) {
			texts = append(texts, []byte(req.Method+"\n"+target+"\n"+date+";"+host+";"+contentHash))
		}
	}
	return r.findListed(ctx, func(known map[string]Caller) (Proof, error) {
		for _, c := range known {
			if !c.Policy.HMAC {
				continue
			}
			if generation := r.signedBy(c, texts, want); generation > 0 {
				return Proof{c, BySignature, generation, bodyHash}, nil
			}
		}
		return Proof{}, problem.Wrap(problem.Unauthenticated, "The HMAC signature was not accepted: no caller that may sign requests has a key that fits. The path, the host and the date are part of what is signed.", errUnproven)
	})
}

// colon reads %3A, which the Functions host writes as a colon too.
var colon = strings.NewReplacer("%3A", ":", "%3a", ":")

// spellings are the targets that a client may have signed when this one arrived:
// the colon of /emails:send may be written as %3A, on the way as well as in what
// is signed.
func spellings(target string) []string {
	plain := colon.Replace(target)
	return distinct([]string{target, plain, strings.ReplaceAll(plain, ":", "%3A")})
}

// distinct leaves out what is empty or stands before: each text costs a MAC for
// every key.
func distinct(all []string) []string {
	var list []string
	for _, s := range all {
		if s != "" && !slices.Contains(list, s) {
			list = append(list, s)
		}
	}
	return list
}

// once returns the value of a header that must not be there twice: two servers
// might each believe another one.
func once(h http.Header, name string) (value string, ok bool) {
	all := h.Values(name)
	if len(all) != 1 {
		return "", false
	}
	return all[0], true
}

// decode32 reads the only Base64 that 32 bytes have.
func decode32(text string) ([]byte, error) {
	sum, err := base64.StdEncoding.Strict().DecodeString(text)
	if err == nil && len(sum) != sha256.Size {
		err = base64.CorruptInputError(len(text))
	}
	return sum, err
}

// signedBy is the generation whose key has signed; 0 without one.
func (r *Registry) signedBy(c Caller, texts [][]byte, want []byte) (found int64) {
	for _, generation := range c.Generations {
		for _, key := range r.MACs(c.Name, generation) {
			h := hmac.New(sha256.New, key)
			for _, text := range texts {
				h.Reset()
				h.Write(text)
				if hmac.Equal(h.Sum(nil), want) {
					found = generation
				}
			}
		}
	}
	return found
}
