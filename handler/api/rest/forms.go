package rest

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/posthorn/posthorn/handler/api/hook"
	"github.com/posthorn/posthorn/handler/deliver/offload"
	"github.com/posthorn/posthorn/handler/gateway"
	"github.com/posthorn/posthorn/handler/problem"
)

// hookPath is the one route that people's browsers post to.
const hookPath = "/hooks/{name}"

// formOf is what the gateway must know of a form; nil for other hooks.
func formOf(h hook.Hook) *gateway.Form {
	if !h.IsForm() {
		return nil
	}
	return &gateway.Form{Cap: h.Policy.Form.Cap, MaxWaiting: h.Policy.Form.Waiting()}
}

// clientAddress is the address from which a request came, as the platform says; the zero
// address if the platform does not say. A stranger can write neither header. The front end of
// App Service overwrites Client-Ip. The Functions host overwrites X-Forwarded-For with its own
// peer, and an inner address is the front end's. Of several hops the last is the host's.
// Sources: github.com/Azure/app-service-linux-docs, Things_You_Should_Know/headers.md;
// microsoft.github.io/reverse-proxy, "Request transforms", on X-Forwarded, and
// azure-functions-host, ScriptInvocationRequestTransformer, which uses the default ones.
func clientAddress(h http.Header) netip.Addr {
	if all := h.Values("Client-Ip"); len(all) == 1 {
		if a := addressOf(all[0]); a.IsValid() {
			return a
		}
	}
	hops := strings.Join(h.Values("X-Forwarded-For"), ",")
	last := addressOf(hops[strings.LastIndexByte(hops, ',')+1:])
	if inner := last.IsPrivate() || last.IsLoopback() || last.IsLinkLocalUnicast() || carrier.Contains(last); inner {
		return netip.Addr{}
	}
	return last
}

// carrier is the shared address space of RFC 6598, which data centres use inside.
var carrier = netip.PrefixFrom(netip.AddrFrom4([4]byte{100, 64}), 10)

// addressOf reads an address, with or without a port.
func addressOf(text string) netip.Addr {
	text = strings.TrimSpace(text)
	if with, err := netip.ParseAddrPort(text); err == nil {
		return with.Addr().Unmap()
	}
	a, _ := netip.ParseAddr(strings.Trim(text, "[]")) // what is none is unknown
	return a.Unmap()
}

// wantsPage says whether a browser shows the answer, and not a script.
func wantsPage(req *http.Request) bool {
	return strings.Contains(req.Header.Get("Accept"), "text/html")
}

// orThank ends the way of a form.
func orThank(w http.ResponseWriter, req *http.Request, form hook.Submission, err error) error {
	switch {
	case err != nil:
		return err
	case !wantsPage(req):
		writeJSON(w, http.StatusAccepted, "application/json", map[string]string{"status": "accepted"})
	case form.Next != "":
		w.Header().Set("Location", form.Next)
		w.WriteHeader(http.StatusSeeOther)
	default:
		writePage(w, http.StatusOK, offload.Note("Thank you", "Your message was sent."), "en")
	}
	return nil
}

// tellPerson shows somebody with a browser what is wrong. Who sees it can do something
// about the message alone, so what is for programmers is left out.
func tellPerson(w http.ResponseWriter, req *http.Request, p *problem.Problem) {
	title := "Your message was not sent"
	if req.Method != http.MethodPost {
		title = "There is nothing to see here"
	}
	var text string
	switch p.Kind {
	case problem.InvalidRequest, problem.InvalidMessage, problem.Forbidden:
		text = p.Detail
	case problem.TooManyRequests, problem.TooManyQueued, problem.OverQuota:
		text = "Too many messages came in a short time. Please go back and try again " + in(p.RetryAfter) + "."
	case problem.Unauthenticated, problem.NotFound:
		text = "There is no form at this address. The owner of the website can correct it."
	case problem.RequestTimeout:
		text = "It came too slowly. Please go back and try again."
	case problem.TooLarge:
		text = "It is too long. Please go back and shorten it."
	case problem.MalformedJSON, problem.UnsupportedMediaType, problem.MethodNotAllowed:
		text = "The website sends the form in a way that is not understood here. The owner of the website can correct it."
	default:
		text = "That is not your fault. Please go back and try again in a minute."
	}
	writePage(w, p.Kind.Status(), offload.Note(title, text), "en")
}

// in is a time as people say it.
func in(wait time.Duration) string {
	switch minutes := int((wait + time.Minute - 1) / time.Minute); {
	case minutes <= 1:
		return "in a minute"
	case minutes < 60:
		return fmt.Sprintf("in %d minutes", minutes)
	}
	return "in an hour or later"
}
