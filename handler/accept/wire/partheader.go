package wire

import (
	"bufio"
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

// parseHeader reads the lines of a header, each of which ends with CRLF. The
// detail is that of a fault, or empty.
func parseHeader(lines string, form bool) (h partHeader, detail string) {
	if !utf8.ValidString(lines) || strings.ContainsFunc(strings.ReplaceAll(lines, "\r\n", ""), isControl) {
		return h, "The header of the part is not UTF-8 in lines that end with CRLF."
	}
	fields, err := textproto.NewReader(bufio.NewReader(strings.NewReader(lines + "\r\n"))).ReadMIMEHeader()
	if err != nil {
		return h, "The header of the part is not made of lines with a name and a value."
	}
	for _, name := range []string{"Content-Type", "Content-Disposition", "Content-Id", "Content-Transfer-Encoding"} {
		if len(fields[name]) > 1 {
			return h, name + " stands twice."
		}
	}
	if !isIdentity(fields.Get("Content-Transfer-Encoding")) {
		return h, "Content-Transfer-Encoding must be binary, 8bit or 7bit. Base64 belongs into the JSON."
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

func isControl(c rune) bool { return c < ' ' && c != '\t' || c == 0x7F }
