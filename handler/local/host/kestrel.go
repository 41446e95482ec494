package host

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// unheard is the status with which the host answers a request before it looks for a
// function, or 0.
func unheard(r *http.Request) int {
	switch count, size := headers(r); {
	case len(r.Method)+len(r.RequestURI)+len(r.Proto)+len("  \r\n") > MaxRequestLineBytes:
		return http.StatusRequestURITooLong
	case size > MaxHeaderBytes || count > MaxHeaders:
		return http.StatusRequestHeaderFieldsTooLarge
	case !ascii(r.RequestURI) || !asciiHeaders(r.Header):
		return http.StatusBadRequest
	case r.Host == "": // HTTP/1.0
		return http.StatusInternalServerError
	}
	return 0
}

// headers counts the headers as they came, those that net/http takes out included.
func headers(r *http.Request) (count, bytes int) {
	add := func(name, value string) {
		count++
		bytes += len(name) + len(value) + len(": \r\n")
	}
	for name, values := range r.Header {
		for _, v := range values {
			add(name, v)
		}
	}
	if r.Host != "" {
		add("Host", r.Host)
	}
	for _, encoding := range r.TransferEncoding {
		add("Transfer-Encoding", encoding)
	}
	return count, bytes
}

func asciiHeaders(h http.Header) bool {
	for _, values := range h {
		for _, v := range values {
			if !ascii(v) {
				return false
			}
		}
	}
	return true
}

func ascii(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r > 0x7e || r < ' ' && r != '\t' }) < 0
}

// repath is a path as the host passes it on: decoded and encoded again. A slash
// that came encoded is not decoded, and so is encoded twice.
func repath(escaped string) string {
	var b strings.Builder
	for i := 0; i < len(escaped); i++ {
		c := escaped[i]
		if v, ok := unhex(escaped[i:]); ok && v != '/' {
			c = v
			i += 2
		}
		encode(&b, c, unreserved(c) || strings.IndexByte("/:@!$&'()*+,;=", c) >= 0)
	}
	return b.String()
}

// requery is a query as the host passes it on: .NET's Uri decodes what need not be
// encoded, and encodes what must be.
func requery(raw string) string {
	var b strings.Builder
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		if v, ok := unhex(raw[i:]); ok {
			encode(&b, v, unreserved(v))
			i += 2
			continue
		}
		encode(&b, c, unreserved(c) || strings.IndexByte("/?:@!$&'()*+,;=[]", c) >= 0)
	}
	return b.String()
}

func encode(b *strings.Builder, c byte, plain bool) {
	if plain {
		b.WriteByte(c)
		return
	}
	fmt.Fprintf(b, "%%%02X", c)
}

// unreserved: RFC 3986, section 2.3.
func unreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-._~", c) >= 0
}

// unhex reads an encoded byte at the start of s.
func unhex(s string) (byte, bool) {
	if len(s) < 3 || s[0] != '%' {
		return 0, false
	}
	v, err := strconv.ParseUint(s[1:3], 16, 8)
	return byte(v), err == nil
}
