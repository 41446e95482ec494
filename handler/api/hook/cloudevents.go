package hook

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"maps"
	"mime"
	"net/http"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/posthorn/posthorn/handler/problem"
)

// eventFormats are the media types of whole events that a hook reads; JSON is meant
// where none is named.
var eventFormats = []string{
	"application/cloudevents", "application/cloudevents+json", "application/cloudevents-batch", "application/cloudevents-batch+json",
}

// cloudEvents are the events of d in the three modes of the HTTP binding 1.0.2: one
// event, a batch, or attributes in headers with the data as body. Source:
// cloudevents/spec, cloudevents/bindings/http-protocol-binding.md, section 3.
func (h Hook) cloudEvents(ctx context.Context, d Delivery) ([]value, error) {
	media, parameters, _ := mime.ParseMediaType(d.Header.Get("Content-Type"))
	structured := slices.Contains(eventFormats, media)
	if d.Header.Get("Ce-Specversion") != "" && !structured {
		body := d.Body
		if from := charsetOf(parameters["charset"]); from != nil {
			body = []byte(decoded(from, body))
		}
		event, err := binaryEvent(ctx, d.Header, media, body)
		return []value{event}, err
	}
	read := h.payload
	if structured {
		read = func(ctx context.Context, d Delivery) (value, error) { return decode(ctx, d.Body) }
	}
	payload, err := read(ctx, d)
	if err != nil {
		return nil, err
	}
	events := items(payload)
	for i, event := range events {
		media, _, _ := mime.ParseMediaType(event.step("datacontenttype").text)
		encoded, data := event.step("data_base64"), event.step("data")
		switch {
		case encoded.kind == text && data.kind == null:
			event.members = append(slices.Clone(event.members), member{"data", dataOf64(ctx, encoded.text, media)})
		case data.kind == text && isHTML(media):
			event.members = slices.Clone(event.members)
			at := slices.IndexFunc(event.members, func(m member) bool { return m.name == "data" })
			event.members[at].value.text = prose(data.text)
		}
		events[i] = event
	}
	return events, nil
}

// binaryEvent is an event whose attributes are headers and whose data is a body of
// any type: section 3.1.
func binaryEvent(ctx context.Context, h http.Header, media string, body []byte) (value, error) {
	event := value{kind: object}
	for _, name := range slices.Sorted(maps.Keys(h)) {
		attribute, ok := strings.CutPrefix(strings.ToLower(name), "ce-")
		if !ok {
			continue
		}
		decoded, ok := attributeValue(h.Get(name))
		if !ok {
			return value{}, problem.New(problem.InvalidRequest, "The header %s is not UTF-8 after percent-decoding. Encode it as CloudEvents 1.0 says.", name)
		}
		event.members = append(event.members, member{attribute, value{kind: text, text: visible(decoded)}})
	}
	if contentType := h.Get("Content-Type"); contentType != "" {
		event.members = append(event.members, member{"datacontenttype", value{kind: text, text: visible(contentType)}})
	}
	if len(body) == 0 {
		return event, nil
	}
	data, err := dataOf(ctx, body, media)
	event.members = append(event.members, member{"data", data})
	return event, err
}

// attributeValue takes the quotes and the percent-encoding from a header: section
// 3.1.3.2. A percent sign without two hex digits stays, as older senders write it.
func attributeValue(s string) (string, bool) {
	if n := len(s); n > 1 && s[0] == '"' && s[n-1] == '"' {
		s = quoted.Replace(s[1 : n-1])
	}
	plain := unescaped([]byte(s))
	return string(plain), utf8.Valid(plain)
}

var quoted = strings.NewReplacer(`\\`, `\`, `\"`, `"`)

// dataOf is data of a media type as a message can show it: JSON as a structure, text
// as it is, HTML as its words, and anything else by its size and type.
func dataOf(ctx context.Context, data []byte, media string) (value, error) {
	switch {
	case strings.HasSuffix(media, "/json") || strings.HasSuffix(media, "+json"):
		return decode(ctx, data)
	case !readableText(data):
		return value{kind: text, text: fmt.Sprintf("%d bytes of %s, which a message cannot show", len(data), orUnknown(media))}, nil
	case isHTML(media):
		return value{kind: text, text: prose(visible(string(data)))}, nil
	}
	return value{kind: text, text: strings.TrimSpace(visible(string(data)))}, nil
}

func isHTML(media string) bool { return media == "text/html" || media == "application/xhtml+xml" }

func orUnknown(media string) string {
	if media == "" {
		return "an unknown type"
	}
	return visible(media)
}

// readableText says whether data is UTF-8 that has no control characters but those
// of lines.
func readableText(data []byte) bool {
	return utf8.Valid(data) && !bytes.ContainsFunc(data, func(r rune) bool { return unicode.IsControl(r) && r != '\t' && r != '\n' && r != '\r' })
}

// dataOf64 is what the member data_base64 holds: cloudevents/spec,
// cloudevents/formats/json-format.md, section 3.1.2. What is no Base64 or no JSON
// stays as it came: the event shall not be lost by it.
func dataOf64(ctx context.Context, encoded, media string) value {
	asCame := value{kind: text, text: encoded}
	data, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return asCame
	}
	of, err := dataOf(ctx, data, media)
	if err != nil {
		return asCame
	}
	return of
}
