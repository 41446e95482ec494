package wire_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/posthorn/posthorn/handler/accept/wire"
	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/test/require"
)

// The y_ files of JSONTestSuite that are refused on purpose: RFC 7493 section
// 2.3 forbids duplicate names.
var refusedByDesign = []string{"y_object_duplicated_key.json", "y_object_duplicated_key_and_value.json"}

// verdict is our choice where RFC 8259 leaves one.
type verdict struct {
	accepted bool
	reason   string
}

const (
	number    = "numbers are held against the grammar only; no member of a message is one"
	surrogate = "a lone surrogate is no character: RFC 7493 section 2.1"
	notUTF8   = "texts are UTF-8: RFC 8259 section 8.1"
	mark      = "there must be no byte order mark: RFC 8259 section 8.1"
)

// verdicts on the i_ files of JSONTestSuite.
var verdicts = map[string]verdict{
	"i_number_double_huge_neg_exp.json":                   {true, number},
	"i_number_huge_exp.json":                              {true, number},
	"i_number_neg_int_huge_exp.json":                      {true, number},
	"i_number_pos_double_huge_exp.json":                   {true, number},
	"i_number_real_neg_overflow.json":                     {true, number},
	"i_number_real_pos_overflow.json":                     {true, number},
	"i_number_real_underflow.json":                        {true, number},
	"i_number_too_big_neg_int.json":                       {true, number},
	"i_number_too_big_pos_int.json":                       {true, number},
	"i_number_very_big_negative_int.json":                 {true, number},
	"i_object_key_lone_2nd_surrogate.json":                {false, surrogate},
	"i_string_1st_surrogate_but_2nd_missing.json":         {false, surrogate},
	"i_string_1st_valid_surrogate_2nd_invalid.json":       {false, surrogate},
	"i_string_incomplete_surrogate_and_escape_valid.json": {false, surrogate},
	"i_string_incomplete_surrogate_pair.json":             {false, surrogate},
	"i_string_incomplete_surrogates_escape_valid.json":    {false, surrogate},
	"i_string_invalid_lonely_surrogate.json":              {false, surrogate},
	"i_string_invalid_surrogate.json":                     {false, surrogate},
	"i_string_inverted_surrogates_U+1D11E.json":           {false, surrogate},
	"i_string_lone_second_surrogate.json":                 {false, surrogate},
	"i_string_UTF-8_invalid_sequence.json":                {false, notUTF8},
	"i_string_UTF8_surrogate_U+D800.json":                 {false, notUTF8},
	"i_string_invalid_utf-8.json":                         {false, notUTF8},
	"i_string_iso_latin_1.json":                           {false, notUTF8},
	"i_string_lone_utf8_continuation_byte.json":           {false, notUTF8},
	"i_string_not_in_unicode_range.json":                  {false, notUTF8},
	"i_string_overlong_sequence_2_bytes.json":             {false, notUTF8},
	"i_string_overlong_sequence_6_bytes.json":             {false, notUTF8},
	"i_string_overlong_sequence_6_bytes_null.json":        {false, notUTF8},
	"i_string_truncated-utf-8.json":                       {false, notUTF8},
	"i_string_utf16BE_no_BOM.json":                        {false, notUTF8},
	"i_string_utf16LE_no_BOM.json":                        {false, notUTF8},
	"i_string_UTF-16LE_with_BOM.json":                     {false, mark},
	"i_structure_UTF-8_BOM_empty_object.json":             {false, mark},
	"i_structure_500_nested_arrays.json":                  {false, "no message nests deeper than mail.MaxDepth"},
}

func TestJSONTestSuite(t *testing.T) {
	t.Parallel()
	dir := require.Corpus(t, "jsontestsuite", "test_parsing")
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	judged := 0
	for _, f := range files {
		name := f.Name()
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		accept := name[0] == 'y' && !slices.Contains(refusedByDesign, name)
		if name[0] == 'i' {
			v, ok := verdicts[name]
			if !ok {
				t.Errorf("%s: there is no verdict on it", name)
			}
			judged++
			accept = v.accepted
		}
		err = wire.Valid(t.Context(), bytes.NewReader(text))
		if (err == nil) != accept {
			t.Errorf("%s: accepted %v, want %v (%v)", name, err == nil, accept, err)
		}
		if err != nil && !problem.Is(err, problem.MalformedJSON) && !slices.Contains(refusedByDesign, name) {
			t.Errorf("%s: refused as %v", name, err)
		}
		if _, err := read(t, bytes.NewReader(text)); name[0] == 'n' && !problem.Is(err, problem.MalformedJSON) {
			t.Errorf("%s: as a message it gives %v", name, err)
		}
	}
	if judged != len(verdicts) {
		t.Errorf("%d verdicts for %d files", len(verdicts), judged)
	}
}

func TestValidNamesWhatStandsTwice(t *testing.T) {
	t.Parallel()
	err := wire.Valid(t.Context(), strings.NewReader(`[1,{"a":{"b":1,"\u0062":{"c":1}},"c":1,"a":null}]`))
	if !problem.Is(err, problem.InvalidMessage) {
		t.Fatal(err)
	}
	equal(t, places(err), []string{"/1/a/b: This member is given twice.", "/1/a: This member is given twice."})
}

// TestNaughtyStrings sends each string through every text of a message.
func TestNaughtyStrings(t *testing.T) {
	t.Parallel()
	for _, s := range require.NaughtyStrings(t) {
		s = strings.ReplaceAll(s, "\x00", "")
		short := strings.ToValidUTF8(s[:min(len(s), 200)], "")
		want := fullMessage(s, short)
		body, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := read(t, bytes.NewReader(body))
		if err != nil {
			t.Errorf("%q: %v", s, err)
			continue
		}
		equal(t, got, want)
	}
}

// fullMessage has every member that is a text; word is for the short ones.
func fullMessage(text, word string) *mail.Message {
	to := []mail.Address{{Address: text, DisplayName: text}}
	return &mail.Message{
		SenderAddress: text,
		Content:       mail.Content{Subject: text, PlainText: text, HTML: text},
		Recipients:    mail.Recipients{To: to, CC: to, BCC: to},
		Attachments: []mail.Attachment{{Name: text, ContentType: text, ContentID: text,
			Placement: mail.Placement(word), UploadID: word}},
		ReplyTo: to,
		Headers: map[string]string{text: text},
		Delivery: mail.Delivery{SendAt: word, WhenBusy: mail.WhenBusy(word), Deadline: word, Priority: mail.Priority(word),
			LinkExpiresAfter: word, Tags: []mail.Tag{{Name: text, Value: text}}},
	}
}
