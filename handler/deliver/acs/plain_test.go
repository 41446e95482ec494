package acs

import (
	"encoding/json"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestWhichOperationsArePlain(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		text string
		want bool
	}{
		"as the service writes it":   {`{"id":"a-1","status":"Running","error":null}`, true},
		"spread over lines":          {"{ \"status\" : \"Running\",\r\n\t\"id\":\"a-1\" }\n", true},
		"of unknown status":          {`{"id":"a-1","status":"On its way"}`, true},
		"with an error":              {`{"id":"a-1","status":"Failed","error":{"code":"X"}}`, false},
		"with an escape":             {`{"id":"a-1","status":"\u0052unning"}`, false},
		"not in ASCII":               {`{"id":"ä","status":"Running"}`, false},
		"with a name twice":          {`{"id":"a-1","id":"b-2"}`, false},
		"with a further member":      {`{"id":"a-1","more":1}`, false},
		"with a name in other case":  {`{"ID":"a-1"}`, false},
		"with a null id":             {`{"id":null}`, false},
		"cut off":                    {`{"id":"a-1","status":"Runn`, false},
		"cut off at its brace":       {`{"id":"a-1"`, false},
		"with a comma too many":      {`{"id":"a-1",}`, false},
		"with something after it":    {`{"id":"a-1"}{}`, false},
		"without a member":           {`{}`, false},
		"no object":                  {`"id"`, false},
		"nothing":                    {``, false},
		"a null that goes on":        {`{"error":nulls}`, false},
		"with a name that is empty":  {`{"":"a-1"}`, false},
		"a page of a proxy":          {`<html>502</html>`, false},
		"with a control character":   {"{\"id\":\"a\x00\"}", false},
		"with a name without quotes": {`{id:"a-1"}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, _, ok := plainOperation([]byte(c.text)); ok != c.want {
				t.Errorf("plain is %t", ok)
			}
		})
	}
}

// Whatever is plain is to encoding/json what it is here.
func TestPlainOperationsMeanTheSameToJSON(t *testing.T) {
	t.Parallel()
	token := rapid.SampledFrom([]string{
		`{`, `}`, `:`, `,`, ` `, "\n", `null`, `"id"`, `"status"`, `"error"`, `"a-1"`, `"Running"`, `"\n"`, `"ä"`, `1`, `"`,
		`"id":"a-1"`, `"status":"Running"`, `"error":null`, `"error":{}`,
	})
	rapid.Check(t, func(t *rapid.T) {
		text := strings.Join(rapid.SliceOfN(token, 0, 8).Draw(t, "tokens"), "")
		if rapid.Bool().Draw(t, "in braces") {
			text = "{" + text + "}"
		}
		id, status, ok := plainOperation([]byte(text))
		if !ok {
			return
		}
		var said saidOperation
		if err := json.Unmarshal([]byte(text), &said); err != nil || said.ID != id || said.Status != status || said.Error != nil {
			t.Fatalf("%q is %q, %q here, and %+v, %v to encoding/json", text, id, status, said, err)
		}
	})
}
