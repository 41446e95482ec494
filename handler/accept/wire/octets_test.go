package wire_test

import (
	"io"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/posthorn/posthorn/handler/accept/wire/resend"
	"github.com/posthorn/posthorn/handler/accept/wire/wiretest"
	"github.com/posthorn/posthorn/handler/problem"
)

// inResend is a message in Resend's words whose attachment has this content.
func inResend(content string) string {
	return `{"attachments":[{"filename":"a","content":` + content + `,"content_id":"c"}],"subject":"after"}`
}

func TestContentAsBytes(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ content, want string }{
		"Base64":               {`"aGk="`, "hi"},
		"an array":             {`[104,105]`, "hi"},
		"with space":           {` [ 104 , 105 ] `, "hi"},
		"nothing":              {`[]`, ""},
		"all bytes":            {`[0,255,-0]`, "\x00\xff\x00"},
		"a Buffer":             {`{"type":"Buffer","data":[104,105]}`, "hi"},
		"a Buffer, turned":     {`{"data":[104,105],"type":"Buffer"}`, "hi"},
		"an empty Buffer":      {`{"type":"Buffer","data":[]}`, ""},
		"a Buffer of no type":  {`{"data":[104]}`, "h"},
		"a calendar":           {`"BEGIN:VCALENDAR\r\nSUMMARY:\u00fc \"ü\" 📯\r\nEND:VCALENDAR"`, "BEGIN:VCALENDAR\r\nSUMMARY:ü \"ü\" 📯\r\nEND:VCALENDAR"},
		"a calendar, indented": {`"\n  \tBEGIN:VCALENDAR"`, "\n  \tBEGIN:VCALENDAR"}, // github.com/resend/resend-examples issue 62
		"a large calendar":     {`"BEGIN:VCALENDAR` + strings.Repeat("ü", 300_000) + `"`, "BEGIN:VCALENDAR" + strings.Repeat("ü", 300_000)},
		"Base64 behind space":  {`"  \n aGk="`, "hi"},
		"more than the buffer": {"[" + strings.Repeat("97,", 200_000) + "98]", strings.Repeat("a", 200_000) + "b"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, chunked := range []func(io.Reader) io.Reader{func(r io.Reader) io.Reader { return r }, iotest.HalfReader, iotest.OneByteReader} {
				kept := keep{}
				parsed, err := resend.Source().Read(t.Context(), chunked(strings.NewReader(inResend(tt.content))), kept)
				if err != nil || kept[0] != tt.want {
					t.Fatalf("%d bytes, %v", len(kept[0]), err)
				}
				if m := parsed[0].Message; m.Content.Subject != "after" || !m.Attachments[0].HasContent || m.Attachments[0].ContentID != "c" {
					t.Errorf("%+v", m)
				}
			}
		})
	}
}

func TestContentThatIsNoBytes(t *testing.T) {
	t.Parallel()
	const noByte = "/attachments/0/content: This is not a whole number from 0 to 255."
	for name, tt := range map[string]struct{ content, want string }{
		"nearly a calendar":   {`"BEGIN:VCARD"`, "/attachments/0/content: A colon is not Base64. Of a data: URL, send what follows the comma."},
		"256":                 {`[1,256,3]`, noByte},
		"negative":            {`[-1]`, noByte},
		"a fraction":          {`[1.0]`, noByte},
		"a power":             {`[1e1]`, noByte},
		"huge":                {`[1,99999999999999999999999999]`, noByte},
		"a text":              {`["a",[{}],2]`, noByte},
		"null":                {`[null]`, noByte},
		"an array in it":      {`[[1]]`, noByte},
		"true":                {`true`, "/attachments/0/content: It must be Base64 or an array of bytes, not true or false."},
		"another type":        {`{"type":"Blob","data":[1]}`, "/attachments/0/content/type: The only such type is Buffer."},
		"data as Base64":      {`{"type":"Buffer","data":"aGk="}`, "/attachments/0/content/data: It must be an array, not a string."},
		"no data":             {`{"type":"Buffer"}`, "/attachments/0/content: It has no data."},
		"data twice":          {`{"data":[1],"data":[2]}`, "/attachments/0/content/data: This member is given twice."},
		"something else":      {`{"data":[1],"x":2}`, "/attachments/0/content/x: There is no such member."},
		"data with a fault":   {`{"data":[300],"type":"Buffer"}`, "/attachments/0/content/data: This is not a whole number from 0 to 255."},
		"Base64 with a fault": {`"aGkaG"`, "/attachments/0/content: The Base64 ends within a group of four characters."},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wiretest.Invalid(t, resend.Source(), inResend(tt.content), tt.want)
		})
	}
}

func TestContentAsBrokenJSON(t *testing.T) {
	t.Parallel()
	for _, content := range []string{`[1`, `[1,`, `[1,]`, `[1 2]`, `[01]`, `[1,?]`, `[-]`, `[300,]`, `["a"`, `{"data":[1}`, `"BEGIN:VCALENDAR`, `"BEGIN:VCA`, `"\n`, "\"BEGIN:VCALENDAR\n\"", "\"BEGIN:VCALENDAR\xff\"", `"BEGIN:VCALENDAR\q"`, strings.Repeat("[", 40)} {
		body := strings.TrimSuffix(inResend(content), `,"content_id":"c"}],"subject":"after"}`)
		_, kept, err := wiretest.Read(t, resend.Source(), body)
		if !problem.Is(err, problem.MalformedJSON) || len(kept) > 0 {
			t.Errorf("%s: %v, %v", content, kept, err)
		}
	}
}

// FuzzOctets holds an array of bytes against the same bytes as Base64 would be:
// what is written is what is read, in any chunks.
func FuzzOctets(f *testing.F) {
	f.Add([]byte("hi"), ",", false)
	f.Add([]byte{}, " , ", true)
	f.Fuzz(func(t *testing.T, content []byte, comma string, buffer bool) {
		if strings.Trim(comma, " \t\r\n") != "," {
			comma = ","
		}
		numbers := make([]string, len(content))
		for i, b := range content {
			numbers[i] = strconv.Itoa(int(b))
		}
		text := "[" + strings.Join(numbers, comma) + "]"
		if buffer {
			text = `{"type":"Buffer","data":` + text + `}`
		}
		for _, chunked := range []func(io.Reader) io.Reader{iotest.OneByteReader, iotest.DataErrReader} {
			kept := keep{}
			if _, err := resend.Source().Read(t.Context(), chunked(strings.NewReader(inResend(text))), byBytes{kept}); err != nil || kept[0] != string(content) {
				t.Errorf("%q, %v", kept[0], err)
			}
		}
	})
}

func TestSinkThatStopsEndsAnArray(t *testing.T) {
	t.Parallel()
	_, err := resend.Source().Read(t.Context(), strings.NewReader(inResend(`[1,2]`)), refusing{})
	if err == nil || err.Error() != "no room" {
		t.Error(err)
	}
}
