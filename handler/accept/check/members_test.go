package check

import (
	"reflect"
	"testing"
)

// TestRulesNameMembers is there because validator passes over a name that it
// does not find.
func TestRulesNameMembers(t *testing.T) {
	t.Parallel()
	for _, table := range [][]rules{forms, sizes} {
		for _, r := range table {
			for name := range r.tags {
				if _, there := reflect.TypeOf(r.of).FieldByName(name); !there {
					t.Errorf("%T has no member %s", r.of, name)
				}
			}
		}
	}
}
