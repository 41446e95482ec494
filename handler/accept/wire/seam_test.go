package wire

import (
	"bytes"
	"encoding/base64"
	"mime"
	"net/textproto"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzManyQuanta holds the two ways of decoding many quanta against each other.
func FuzzManyQuanta(f *testing.F) {
	for _, text := range []string{"QUJD", "+/+/", "QUJDQUI=", "QUJ=", "QQ==QUJD", "QUJ-", "QUJ\n", "QUJ\xff", "QUJ"} {
		for _, times := range []uint8{1, 7, 40} {
			f.Add([]byte(text), times, uint8(3))
			f.Add(append(bytes.Repeat([]byte("QUJD"), int(times)), text...), uint8(1), uint8(0))
		}
	}
	f.Fuzz(func(t *testing.T, text []byte, times, shift uint8) {
		text = bytes.Repeat(text, int(times))
		room := base64.StdEncoding.DecodedLen(len(text))
		want := make([]byte, room)
		wantN, wantErr := base64.StdEncoding.Strict().Decode(want, text)

		shifted := append(make([]byte, shift), text...)[shift:]
		canary := bytes.Repeat([]byte{0xA5}, room+64)
		n, err := manyQuanta.Decode(canary[:room], shifted)
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("%v, but encoding/base64: %v", err, wantErr)
		}
		if err == nil && !bytes.Equal(canary[:n], want[:wantN]) {
			t.Error("other bytes than encoding/base64")
		}
		if !bytes.Equal(canary[room:], bytes.Repeat([]byte{0xA5}, 64)) {
			t.Error("wrote beyond its room")
		}
	})
}

func TestManyQuantaRefusesEveryForeignByteAnywhere(t *testing.T) {
	t.Parallel()
	const size = 160
	room := make([]byte, size/4*3)
	for c := range 256 {
		for at := range size {
			text := bytes.Repeat([]byte("QUJD"), size/4)
			text[at] = byte(c)
			n, err := manyQuanta.Decode(room, text)
			taken := err == nil && n == len(room)
			if want := strings.IndexByte(alphabet[:64], byte(c)) >= 0; taken != want {
				t.Errorf("byte %#x at %d: %d bytes, %v", c, at, n, err)
			}
		}
	}
}

// FuzzFileName reads any Content-Disposition, and any file name as clients and
// browsers write it into one.
func FuzzFileName(f *testing.F) {
	for _, s := range []string{"a.txt", `a"b\c.txt`, "ü📯.bin", "a;b=c", "\x00\r\n", "%22%", "", "=?utf-8?B?w7w=?=", "../../etc/passwd",
		`attachment; filename="a"; filename*=utf-8''%c3%bc`, "attachment; filename*0=a; filename*1*=%62", `form-data; name="f"; filename="C:\a b"`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, form := range []bool{false, true} {
			h, detail := parseHeader(disposition(s), form)
			if !utf8.ValidString(h.filename) || detail != "" && h != (partHeader{}) {
				t.Errorf("%q, %+v", detail, h)
			}
			if !utf8.ValidString(s) {
				continue
			}
			line := mime.FormatMediaType("attachment", map[string]string{"filename": s})
			if h, detail := parseHeader(disposition(line), form); h.filename != s && !strings.Contains(s, "%") {
				t.Errorf("as %s it is %q, %s", line, h.filename, detail)
			}
		}
		if strings.ContainsFunc(s, func(c rune) bool {
			return c == '\\' || c == '%' || c < ' ' && c != '\t' && c != '\r' && c != '\n' || c == 0x7F
		}) || !utf8.ValidString(s) {
			return
		}
		line := `form-data; name="f"; filename="` + strings.NewReplacer(`"`, "%22", "\r", "%0D", "\n", "%0A").Replace(s) + `"`
		if h, detail := parseHeader(disposition(line), true); h.filename != s || h.field != "f" {
			t.Errorf("as %s it is %q, %s", line, h.filename, detail)
		}
	})
}

func disposition(value string) textproto.MIMEHeader {
	return textproto.MIMEHeader{"Content-Disposition": {value}}
}
