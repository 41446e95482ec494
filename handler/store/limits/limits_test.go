package limits_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/posthorn/posthorn/handler/store"
	"github.com/posthorn/posthorn/handler/store/limits"
)

func TestEntity(t *testing.T) {
	t.Parallel()
	values := func(n, size int) map[string]any {
		v := map[string]any{}
		for i := range n {
			v[fmt.Sprintf("v%03d", i)] = make([]byte, size)
		}
		return v
	}
	one := func(name string, v any) map[string]any { return map[string]any{name: v} }
	for name, c := range map[string]struct {
		partition, row string
		values         map[string]any
		fault          string
	}{
		"keys alone":                {"p", "r", nil, ""},
		"longest keys":              {strings.Repeat("ü", 512), strings.Repeat("ü", 512), nil, ""},
		"long partition":            {strings.Repeat("p", 513), "r", nil, "more than 512 characters"},
		"long row, two units each":  {"p", strings.Repeat("\U0001F4EF", 257), nil, "more than 512 characters"},
		"no partition":              {"", "r", nil, "empty"},
		"no row":                    {"p", "", nil, "empty"},
		"slash":                     {"p", "a/b", nil, "character"},
		"backslash":                 {"p", `a\b`, nil, "character"},
		"hash":                      {"p", "a#b", nil, "character"},
		"question mark":             {"p", "a?b", nil, "character"},
		"quote":                     {"p", "a'b", nil, "character"},
		"NUL":                       {"p", "a\x00b", nil, "character"},
		"DEL":                       {"p", "a\x7fb", nil, "character"},
		"C1 control":                {"p", "a\u0085b", nil, "character"},
		"key of broken UTF-8":       {"p", "a\xffb", nil, "character"},
		"key with a C1 control":     {"p", "a\u009fb", nil, "character"},
		"key behind the C1 ones":    {"p", "a\u00a0\u00bf\u0410b", nil, ""},
		"252 values":                {"p", "r", values(252, 1), ""},
		"253 values":                {"p", "r", values(253, 1), "253 values"},
		"nearly 1 MiB":              {"p", "r", values(16, 65_500), ""},
		"more than 1 MiB":           {"p", "r", values(16, 65_536), "more than 1048576"},
		"bytes of 64 KiB":           {"p", "r", one("v", make([]byte, 65_536)), ""},
		"bytes of 64 KiB and one":   {"p", "r", one("v", make([]byte, 65_537)), "v has 65537 bytes"},
		"string of 64 KiB":          {"p", "r", one("v", strings.Repeat("a", 32_768)), ""},
		"string beyond 64 KiB":      {"p", "r", one("v", strings.Repeat("a", 32_769)), "v has 65538 bytes"},
		"string of broken UTF-8":    {"p", "r", one("v", "\xff"), "not UTF-8"},
		"bool":                      {"p", "r", one("v", true), ""},
		"int64":                     {"p", "r", one("v", int64(1)), ""},
		"int":                       {"p", "r", one("v", 1), "type int"},
		"nil":                       {"p", "r", one("v", nil), "type <nil>"},
		"first time":                {"p", "r", one("v", time.Date(1601, 1, 1, 0, 0, 0, 0, time.UTC)), ""},
		"earlier in UTC":            {"p", "r", one("v", time.Date(1601, 1, 1, 0, 0, 0, 0, time.FixedZone("", 3600))), "outside"},
		"last time":                 {"p", "r", one("v", time.Date(9999, 12, 31, 23, 59, 59, 999_999_900, time.UTC)), ""},
		"year 10000":                {"p", "r", one("v", time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)), "outside"},
		"name with a hyphen":        {"p", "r", one("a-b", true), `"a-b" cannot name`},
		"name that starts with 1":   {"p", "r", one("1a", true), "cannot name"},
		"no name":                   {"p", "r", one("", true), "cannot name"},
		"longest name":              {"p", "r", one(strings.Repeat("n", 255), true), ""},
		"name too long":             {"p", "r", one(strings.Repeat("n", 256), true), "cannot name"},
		"name of the partition key": {"p", "r", one("PartitionKey", "x"), "cannot name"},
		"name of the row key":       {"p", "r", one("RowKey", "x"), "cannot name"},
		"name of the service":       {"p", "r", one("Timestamp", "x"), "cannot name"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			check(t, limits.Entity(store.Entity{Partition: c.partition, Row: c.row, Values: c.values}), c.fault)
		})
	}
}

func TestTransaction(t *testing.T) {
	t.Parallel()
	rows := func(n, values int, v any) (actions []store.Action) {
		for i := range n {
			e := store.Entity{Partition: "p", Row: strconv.Itoa(i), Values: map[string]any{}}
			for j := range values {
				e.Values[fmt.Sprintf("v%d", j)] = v
			}
			actions = append(actions, store.Insert(e))
		}
		return actions
	}
	for name, c := range map[string]struct {
		actions []store.Action
		fault   string
	}{
		"none":                          {nil, "0 actions"},
		"100":                           {rows(100, 1, "v"), ""},
		"101":                           {rows(101, 1, "v"), "101 actions"},
		"nearly 4 MiB in base64":        {rows(4, 11, make([]byte, 65_536)), ""},
		"more than 4 MiB in base64":     {rows(4, 12, make([]byte, 65_536)), "more than 4194304"},
		"of texts that JSON may escape": {rows(2, 14, strings.Repeat("<", 32<<10)), "more than 4194304"},
		"of keys alone":                 {[]store.Action{store.Delete("p", "a", ""), store.Delete("p", "b", "")}, ""},
		"of two partitions":             {[]store.Action{store.Delete("p", "a", ""), store.Delete("q", "b", "")}, "two partitions"},
		"of a row twice":                {[]store.Action{store.Delete("p", "a", ""), store.Insert(store.Entity{Partition: "p", Row: "a"})}, "a row twice"},
		"of a row that cannot be":       {[]store.Action{store.Delete("p", "a#", "")}, "character"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			check(t, limits.Transaction(c.actions), c.fault)
		})
	}
}

func TestRange(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("r", 512)
	for name, c := range map[string]struct {
		after     store.Key
		partition string
		fault     string
	}{
		"from the first":        {store.Key{}, "p", ""},
		"from a partition":      {store.Key{Partition: "a"}, "p", ""},
		"from a row":            {store.Key{Partition: "a", Row: long}, long, ""},
		"a row of no partition": {store.Key{Row: "r"}, "p", "no partition"},
		"backwards":             {store.Key{Partition: "q"}, "p", "ends before"},
		"of nothing":            {store.Key{Partition: "p"}, "p", "ends before"},
		"to nowhere":            {store.Key{}, "", "ends before"},
		"quote in the end":      {store.Key{}, "p'", "character"},
		"quote in the start":    {store.Key{Partition: "a'"}, "p", "character"},
		"quote in the row":      {store.Key{Partition: "a", Row: "'"}, "p", "character"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			check(t, limits.Range(c.after, c.partition), c.fault)
		})
	}
}

func TestSigned(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, time.November, 23, 14, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		from, until time.Duration
		fault       string
	}{
		"a quarter of an hour":    {0, 15 * time.Minute, ""},
		"begun already":           {-time.Hour, time.Minute, ""},
		"begins later":            {time.Hour, 2 * time.Hour, ""},
		"the longest":             {0, limits.LongestSigned, ""},
		"longer than the longest": {0, limits.LongestSigned + 1, "beyond the 166h45m0s"},
		"ends now":                {-time.Hour, 0, "never be valid"},
		"ends as it begins":       {time.Hour, time.Hour, "never be valid"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			check(t, limits.Signed(now, now.Add(c.from), now.Add(c.until)), c.fault)
		})
	}
}

func TestMessages(t *testing.T) {
	t.Parallel()
	week := 7 * 24 * time.Hour
	check(t, limits.Message("a", 0), "")
	check(t, limits.Message(strings.Repeat("a", 49_152), week), "")
	check(t, limits.Message("", 0), "empty")
	check(t, limits.Message(strings.Repeat("a", 49_153), 0), "49153 bytes")
	check(t, limits.Message("a", week+1), "hidden")
	check(t, limits.Message("a", -1), "hidden")
	check(t, limits.Receive(1, time.Second), "")
	check(t, limits.Receive(32, week), "")
	check(t, limits.Receive(0, time.Second), "0 messages")
	check(t, limits.Receive(33, time.Second), "33 messages")
	check(t, limits.Receive(1, time.Second-1), "hidden")
	check(t, limits.Receive(1, week+1), "hidden")
}

func TestBlocks(t *testing.T) {
	t.Parallel()
	check(t, limits.Block(0, 1), "")
	check(t, limits.Block(49_999, 1), "")
	check(t, limits.Block(50_000, 1), "block 50000")
	check(t, limits.Block(-1, 1), "block -1")
	check(t, limits.Block(0, 0), "empty")
	check(t, limits.Blocks(0), "")
	check(t, limits.Blocks(50_000), "")
	check(t, limits.Blocks(50_001), "50001 blocks")
	check(t, limits.Blocks(-1), "-1 blocks")
	check(t, limits.Whole(0), "")
	check(t, limits.Whole(128<<20), "")
	check(t, limits.Whole(128<<20+1), "more than 134217728")
	check(t, limits.Whole(-1), "-1 bytes")
}

func check(t *testing.T, err error, fault string) {
	t.Helper()
	switch {
	case fault == "" && err != nil:
		t.Errorf("error %v, want none", err)
	case fault != "" && (err == nil || !strings.Contains(err.Error(), fault)):
		t.Errorf("error %v, want one with %q", err, fault)
	}
}
