package wire_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
)

func TestFaultsOfMembers(t *testing.T) {
	t.Parallel()
	const (
		unknown = "There is no such member."
		twice   = "This member is given twice."
		nul     = "It contains U+0000, which no message may have."
		of2021  = "This is of the form that ACS had in 2021-10-01-preview. "
	)
	tests := map[string]struct {
		body string
		want []string
	}{
		"unknown, everywhere, all at once": {
			`{"a":1,"content":{"b":[{"x":1,"x":2}]},"recipients":{"to":[{},{"c":"\u0000"}]},"attachments":[{"d":{}}],"delivery":{"e":null,"tags":[{"f":1}]}}`,
			[]string{"/a: " + unknown, "/content/b: " + unknown, "/recipients/to/1/c: " + unknown, "/attachments/0/d: " + unknown,
				"/delivery/tags/0/f: " + unknown},
		},
		"unknown name with ~ and / and nothing": {`{"a/b~c~1":1,"":2}`, []string{"/a~1b~0c~01: " + unknown, "/: " + unknown}},
		"unknown name again and again":          {`{"a":1,"b":1,"a":2}`, []string{"/a: " + unknown, "/b: " + unknown}},
		"twice, in two cases":                   {`{"SenderAddress":"a","content":{"HTML":"b","html":"c"},"SENDERADDRESS":"b"}`, []string{"/content/html: " + twice, "/SENDERADDRESS: " + twice}},
		"the form of 2021": {`{"sender":"a","senderEmail":"a","disableUserEngagementTracking":true,"headers":[{"name":"a","value":"b"}],"recipients":{"CC":[{"email":"a"}]},
			"attachments":[{"attachmentType":"pdf","contentBytesBase64":"QQ=="}]}`, []string{
			"/sender: It must be an object, not a string.", "/senderEmail: " + of2021 + "Write senderAddress.",
			"/disableUserEngagementTracking: " + of2021 + "Write userEngagementTrackingDisabled.", "/headers: It must be an object, not an array.",
			"/recipients/CC/0/email: " + of2021 + "Write address.",
			"/attachments/0/attachmentType: " + of2021 + "Write contentType, with a type such as application/pdf.",
			"/attachments/0/contentBytesBase64: " + of2021 + "Write contentInBase64."}},
		"Unicode's K is not k": {`{"recipients":{"to":[{"displayName\u212a":""}]}}`, []string{"/recipients/to/0/displayName\u212a: " + unknown}},
		"twice": {`{"senderAddress":"a","content":{"html":"a","html":"b"},"senderAddress":"a","content":{"subject":1}}`,
			[]string{"/content/html: " + twice, "/senderAddress: " + twice, "/content: " + twice}},
		"twice, once escaped":         {`{"senderAddress":"a","sender\u0041ddress":"b"}`, []string{"/senderAddress: " + twice}},
		"twice, once null":            {`{"senderAddress":null,"senderAddress":"b"}`, []string{"/senderAddress: " + twice}},
		"header twice":                {`{"headers":{"a/b":"1","c":"2","a/b":"3"}}`, []string{"/headers/a~1b: " + twice}},
		"content twice":               {`{"attachments":[{"contentInBase64":"QQ==","contentInBase64":"not Base64"}]}`, []string{"/attachments/0/contentInBase64: " + twice}},
		"header that is a list":       {`{"headers":{"a":null,"b":["1"]}}`, []string{"/headers/b: It must be a string, not an array."}},
		"null in a list":              {`{"replyTo":[{},null]}`, []string{"/replyTo/1: It must be an object, not null."}},
		"U+0000":                      {`{"senderAddress":"a\u0000","headers":{"\u0000":"","b":"\u0000"}}`, []string{"/senderAddress: " + nul, "/headers/\x00: " + nul, "/headers/b: " + nul}},
		"text too long":               {`{"senderAddress":"` + many(600, "a") + `"}`, []string{"/senderAddress: It is longer than 1016 bytes."}},
		"body too long":               {`{"content":{"html":"` + strings.Repeat("ü", mail.MaxBodyBytes/2) + `!"}}`, []string{fmt.Sprintf("/content/html: It is longer than %d bytes.", mail.MaxBodyBytes)}},
		"name too long":               {`{"content":{"` + strings.Repeat("a", 1025) + `":{}}}`, []string{"/content: The name of a member is longer than 1024 bytes."}},
		"too many attachments":        {`{"attachments":[` + many(102, "{}") + `]}`, []string{"/attachments: There are more than 100 of them."}},
		"too many recipients":         {`{"recipients":{"bcc":[` + many(1001, "{}") + `]}}`, []string{"/recipients/bcc: There are more than 1000 of them."}},
		"too many tags, and a fault":  {`{"delivery":{"tags":[` + many(101, "{}") + `],"x":1}}`, []string{"/delivery/tags: There are more than 100 of them.", "/delivery/x: " + unknown}},
		"too many headers":            {`{"headers":{` + numbered(1003) + `},"x":1}`, []string{"/headers: There are more than 1000 of them.", "/x: " + unknown}},
		"an array for a message":      {`[{}]`, []string{": It must be an object, not an array."}},
		"null for a message":          {`null`, []string{": It must be an object, not null."}},
		"wrong type with wrong inner": {`{"content":[{"a":1}],"replyTo":{"b":[]}}`, []string{"/content: It must be an object, not an array.", "/replyTo: It must be an array, not an object."}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := read(t, strings.NewReader(tt.body))
			if !problem.Is(err, problem.InvalidMessage) {
				t.Fatal(err)
			}
			equal(t, places(err), tt.want)
		})
	}
}

func TestTextUpToItsGuard(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{"plain": strings.Repeat("a", 1016), "escaped": strings.Repeat("ü", 508)} {
		body := strings.ReplaceAll(text, "ü", `\u00fc`)
		m, err := read(t, strings.NewReader(`{"senderAddress":"`+body+`"}`))
		if err != nil || m.SenderAddress != text {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// many are n items of a list.
func many(n int, item string) string { return strings.TrimSuffix(strings.Repeat(item+",", n), ",") }

// numbered are n members of different names.
func numbered(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `"h%d":"",`, i)
	}
	return strings.TrimSuffix(b.String(), ",")
}

func TestFaultsAreCollectedUpToAPoint(t *testing.T) {
	t.Parallel()
	_, err := read(t, strings.NewReader(`{`+numbered(49)+`}`))
	if len(places(err)) != 49 {
		t.Errorf("49 faults give %d", len(places(err)))
	}
	_, err = read(t, strings.NewReader(`{`+numbered(1000)+`, and this is never read`))
	if !problem.Is(err, problem.InvalidMessage) || len(places(err)) != 50 {
		t.Errorf("1000 faults give %d: %v", len(places(err)), err)
	}
}

// members are all members of a message, by pointer, with their type.
var members = map[string]string{
	"/senderAddress": "a string", "/senderDisplayName": "a string", "/content": "an object", "/content/subject": "a string", "/content/plainText": "a string",
	"/content/html": "a string", "/recipients": "an object", "/recipients/to": "an array", "/recipients/cc": "an array",
	"/recipients/bcc": "an array", "/recipients/to/0": "an object", "/recipients/to/0/address": "a string",
	"/recipients/to/0/displayName": "a string", "/recipients/cc/0/address": "a string", "/recipients/bcc/0/address": "a string",
	"/attachments": "an array", "/attachments/0": "an object", "/attachments/0/name": "a string",
	"/attachments/0/contentType": "a string", "/attachments/0/contentId": "a string", "/attachments/0/contentInBase64": "a string",
	"/attachments/0/placement": "a string", "/attachments/0/uploadId": "a string", "/replyTo": "an array",
	"/replyTo/0": "an object", "/replyTo/0/address": "a string", "/headers": "an object", "/headers/X-A": "a string",
	"/userEngagementTrackingDisabled": "true or false", "/delivery": "an object", "/delivery/sendAt": "a string",
	"/delivery/whenBusy": "a string", "/delivery/deadline": "a string", "/delivery/priority": "a string",
	"/delivery/linkExpiresAfter": "a string", "/delivery/tags": "an array", "/delivery/tags/0": "an object",
	"/delivery/tags/0/name": "a string", "/delivery/tags/0/value": "a string",
}

// bodyWith is a message with nothing but value at pointer.
func bodyWith(pointer, value string) string {
	steps := strings.Split(pointer, "/")[1:]
	for i := len(steps) - 1; i >= 0; i-- {
		if steps[i] == "0" {
			value = "[" + value + "]"
		} else {
			value = fmt.Sprintf("{%q: %s}", steps[i], value)
		}
	}
	return value
}

func TestEveryMemberHasOneType(t *testing.T) {
	t.Parallel()
	values := map[string]string{"a string": `"QUJD"`, "a number": `-1.5E+2`, "true or false": `false`, "an object": `{}`, "an array": `[]`}
	nothing := map[string]bool{"/headers": true, "/content": true, "/recipients": true, "/delivery": true} // as an array without items
	for pointer, want := range members {
		for is, value := range values {
			_, err := read(t, strings.NewReader(bodyWith(pointer, value)))
			if is == want || is == "an array" && nothing[pointer] || pointer == "/headers/X-A" && is != "an object" && is != "an array" {
				if err != nil {
					t.Errorf("%s as %s: %v", pointer, is, err)
				}
				continue
			}
			if !problem.Is(err, problem.InvalidMessage) {
				t.Errorf("%s as %s: %v", pointer, is, err)
			}
			equal(t, places(err), []string{fmt.Sprintf("%s: It must be %s, not %s.", pointer, want, is)})
		}
	}
}

func TestNullIsAbsent(t *testing.T) {
	t.Parallel()
	for pointer := range members {
		if strings.HasSuffix(pointer, "/0") || strings.HasPrefix(pointer, "/headers/") {
			continue
		}
		m, err := read(t, strings.NewReader(bodyWith(pointer, "null")))
		if err != nil {
			t.Errorf("%s: %v", pointer, err)
			continue
		}
		for _, a := range m.Attachments {
			equal(t, a, mail.Attachment{})
		}
		m.Attachments = nil
		absent, err := read(t, strings.NewReader(bodyWith(pointer[:strings.LastIndexByte(pointer, '/')], "{}")))
		if err != nil {
			t.Fatal(err)
		}
		absent.Attachments = nil
		equal(t, m, absent)
	}
}

func TestMalformed(t *testing.T) {
	t.Parallel()
	nested := func(n int) string { return `{"x":` + strings.Repeat("[", n) + strings.Repeat("]", n) + `}` }
	tests := map[string]struct {
		body, pointer, detail string
		offset                int64
	}{
		"empty":                          {"", "", "The body is empty.", 0},
		"only space":                     {" \n", "", "The body ended early.", 2},
		"mark of byte order":             {"\ufeff{}", "", "The body starts with a byte order mark or is not UTF-8.", 0},
		"two values":                     {"{} {}", "", "There is something after the value.", 3},
		"comma too many":                 {`{"content":{},}`, "", "Expected the name of a member, in quotes.", 14},
		"no comma":                       {`{"replyTo":[{} {}]}`, "/replyTo", "Expected a comma or ].", 15},
		"no colon":                       {`{"replyTo" []}`, "", "Expected a colon.", 11},
		"unknown, and badly so":          {`{"replyTo":[{"a":[1,2,{"b":01}]}]}`, "/replyTo/0/a/2", "Expected a comma or }.", 28},
		"not a word of JSON":             {`{"delivery":nul}`, "/delivery", "Expected null.", 15},
		"no value":                       {`{"delivery":}`, "/delivery", "Expected a value.", 12},
		"lone high surrogate":            {`{"senderAddress":"\ud800"}`, "/senderAddress", "Half of a surrogate pair stands alone.", 18},
		"lone low surrogate":             {`{"senderAddress":"a\udc00\ud800"}`, "/senderAddress", "Half of a surrogate pair stands alone.", 19},
		"high surrogate, then something": {`{"senderAddress":"\ud800\n"}`, "/senderAddress", "Half of a surrogate pair stands alone.", 18},
		"two high surrogates":            {`{"senderAddress":"\ud800\ud800"}`, "/senderAddress", "Half of a surrogate pair stands alone.", 18},
		"lone surrogate in a name":       {`{"\udc00":1}`, "", "Half of a surrogate pair stands alone.", 2},
		"lone surrogate in Base64":       {`{"attachments":[{"contentInBase64":"QUJD\udc00"}]}`, "/attachments/0/contentInBase64", "Half of a surrogate pair stands alone.", 40},
		"no such escape":                 {`{"senderAddress":"\x41"}`, "/senderAddress", "There is no such escape sequence.", 18},
		"escape cut short":               {`{"senderAddress":"\u00g0"}`, "/senderAddress", "There is no such escape sequence.", 18},
		"not UTF-8":                      {"{\"senderAddress\":\"ü\xff\"}", "/senderAddress", "This byte is not UTF-8.", 20},
		"character cut short":            {"{\"senderAddress\":\"\xf0\x9f\x93\"}", "/senderAddress", "This byte is not UTF-8.", 18},
		"not UTF-8 in Base64":            {"{\"attachments\":[{\"contentInBase64\":\"QUJD\xc3\"}]}", "/attachments/0/contentInBase64", "This byte is not UTF-8.", 40},
		"bare line break":                {"{\"senderAddress\":\"a\nb\"}", "/senderAddress", "Control characters in a string must be escaped.", 19},
		"bare line break in Base64":      {"{\"attachments\":[{\"contentInBase64\":\"QUJD\r\nQUJD\"}]}", "/attachments/0/contentInBase64", "Control characters in a string must be escaped.", 40},
		"bare U+0000":                    {"{\"senderAddress\":\"a\x00\"}", "/senderAddress", "Control characters in a string must be escaped.", 19},
		"deeper than allowed":            {nested(32), "/x" + strings.Repeat("/0", 31), "Objects and arrays are nested deeper than 32 levels.", 36},
		"fault in what is one too many":  {`{"attachments":[` + many(100, "{}") + `,[}]}`, "/attachments/100/0", "Expected a value.", 317},
		"a fault of a member before":     {`{"a":1,"content":{]`, "/content", "Expected the name of a member, in quotes.", 18},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := read(t, strings.NewReader(tt.body))
			if !problem.Is(err, problem.MalformedJSON) {
				t.Fatal(err)
			}
			equal(t, problem.Of(err).Violations, []problem.Violation{{Pointer: tt.pointer, Detail: tt.detail, Offset: &tt.offset}})
		})
	}
	if _, err := read(t, strings.NewReader(nested(31))); !problem.Is(err, problem.InvalidMessage) {
		t.Errorf("nested as deeply as allowed: %v", err)
	}
}
