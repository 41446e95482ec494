package trigger

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Invocation is one call of a function by the host.
type Invocation struct {
	// Trigger is what the function was triggered by, as JSON: the text of a
	// queue message (an object or array if it is one, else a JSON string), an
	// event or an array of events, a timer's state.
	Trigger json.RawMessage
	// Queue is set when the trigger is a queue message.
	Queue *Queue
}

// Text is what a queue message said, if it is no JSON object or array.
func (in Invocation) Text() string { return text(in.Trigger) }

// Queue says which message of a queue this is.
type Queue struct {
	// ID and Inserted are the writer's words if the message is a JSON object: its
	// members take the place of the host's own.
	ID       string
	Inserted time.Time // zero when the host did not give it
}

var errNoData = errors.New("envelope: Data needs exactly one member")

// parse reads the host's envelope. The host copies the members of a queue message
// that is an object into Metadata: nothing in there makes a call fail.
func parse(body []byte) (Invocation, error) {
	var envelope struct{ Data, Metadata map[string]json.RawMessage }
	if err := json.Unmarshal(body, &envelope); err != nil {
		return Invocation{}, fmt.Errorf("envelope: %w", err)
	}
	if len(envelope.Data) != 1 {
		return Invocation{}, errNoData
	}
	var in Invocation
	for _, value := range envelope.Data {
		in.Trigger = unwrap(value)
	}
	if _, ok := envelope.Metadata["DequeueCount"]; ok {
		in.Queue = &Queue{ID: text(envelope.Metadata["Id"]), Inserted: instant(envelope.Metadata["InsertionTime"])}
	}
	return in, nil
}

// unwrap takes off the JSON strings that the host puts round a value: none round
// an object, one or two round a text. A text that is an object or an array is
// returned as that, any other text as one JSON string.
func unwrap(value json.RawMessage) json.RawMessage {
	var s string
	for range 2 {
		if json.Unmarshal(value, &s) != nil || !isWrapped(s) {
			return value
		}
		value = json.RawMessage(s)
	}
	return value
}

// isWrapped says whether a text is JSON of its own. A number or a word is not
// taken for it: the text "7" of a queue message stays a text.
func isWrapped(s string) bool {
	s = strings.TrimLeft(s, " \t\r\n")
	return s != "" && strings.ContainsRune(`"{[`, rune(s[0])) && json.Valid([]byte(s))
}

// text is a scalar of Metadata without its wrapping; "" when absent or null.
func text(value json.RawMessage) string {
	value = unwrap(value)
	var s string
	if json.Unmarshal(value, &s) == nil {
		return s
	}
	return string(value)
}

// instant is a time of Metadata, zero when absent. The host writes .NET's
// round-trip form, with an offset for DateTimeOffset and perhaps none for a
// DateTime, which is then UTC. A year of 1 is .NET's "never".
func instant(value json.RawMessage) time.Time {
	s := text(value)
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999"} {
		if t, err := time.Parse(layout, s); err == nil && t.Year() > 1 {
			return t.UTC()
		}
	}
	return time.Time{}
}
