package wire

import (
	"mime"
	"net/textproto"
	"strings"
	"unicode/utf8"
)

// partHeader is what the header of a part says that matters here.
type partHeader struct {
	contentType string
	contentID   string
	field       string // of a form
	filename    string
}

const longHeader = "The header of the part is too long."

// parseHeader returns what a header says. detail is a violation's, or empty.
func parseHeader(fields textproto.MIMEHeader, form bool) (h partHeader, detail string) {
	size := 0
	for name, values := range fields {
		for _, value := range values {
			size += len(name) + len(value)
			if !utf8.ValidString(value) {
				return h, "The header of the part is not UTF-8."
			}
		}
	}
	if size > maxPartHeaderBytes {
		return h, longHeader
	}
	for _, name := range []string{"Content-Type", "Content-Disposition", "Content-Id", "Content-Transfer-Encoding"} {
		if len(fields[name]) > 1 {
			return h, name + " is given twice."
		}
	}
	if !isIdentity(fields.Get("Content-Transfer-Encoding")) {
		return h, "Content-Transfer-Encoding must be binary, 8bit or 7bit. Base64 belongs in the JSON."
	}
	h.contentType = fields.Get("Content-Type")
	h.contentID = fields.Get("Content-Id")
	if id, ok := strings.CutPrefix(h.contentID, "<"); ok && strings.HasSuffix(id, ">") {
		h.contentID = strings.TrimSuffix(id, ">")
	}
	if disposition := fields.Get("Content-Disposition"); disposition != "" {
		return h, h.dispose(disposition, form)
	}
	return h, ""
}

// dispose reads a Content-Disposition: RFC 2183, and RFC 7578 section 4.2 for a
// form. In both, filename* of RFC 5987 is the better filename.
func (h *partHeader) dispose(disposition string, form bool) (detail string) {
	_, params, err := mime.ParseMediaType(disposition)
	if err != nil || !utf8.ValidString(params["filename"]) {
		return "Content-Disposition is not well-formed."
	}
	h.field, h.filename = params["name"], params["filename"]
	if form {
		h.filename = asBrowsersEscape.Replace(h.filename)
	}
	return ""
}

// asBrowsersEscape undoes what browsers do to a file name in a form, which knows
// no other escape: HTML Living Standard, "Multipart form data".
var asBrowsersEscape = strings.NewReplacer("%22", `"`, "%0D", "\r", "%0A", "\n")

// isMessage says whether a part is the message.
func (h partHeader) isMessage(form bool) bool {
	media, _, err := mime.ParseMediaType(h.contentType)
	return err == nil && media == "application/json" || form && h.field == "message"
}

// isIdentity: RFC 2045 section 6.2, those that leave the bytes as they are.
func isIdentity(encoding string) bool {
	switch strings.ToLower(encoding) {
	case "", "binary", "8bit", "7bit":
		return true
	}
	return false
}
