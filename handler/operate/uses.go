package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/posthorn/posthorn/handler/accept/keyring"
)

// keyRow is a key that is alive, as a list tells it.
type keyRow struct {
	Generation int64      `json:"generation"`
	Made       *time.Time `json:"made"`     // null: before that was noted
	LastUsed   *string    `json:"lastUsed"` // a day in UTC; null: never, since it is noted
}

// uses is when keys were made and used, as of now.
type uses struct {
	last map[keyring.KeyID]time.Time
	now  time.Time
}

func (u uses) keys(name string, generations []int64, made map[int64]time.Time) []keyRow {
	rows := make([]keyRow, len(generations))
	for i, g := range generations {
		rows[i] = keyRow{Generation: g, LastUsed: u.day(name, g)}
		if at, known := made[g]; known {
			rows[i].Made = &at
		}
	}
	return rows
}

// day is that on which a key was last used; nil if it was not.
func (u uses) day(name string, generation int64) *string {
	at, used := u.last[keyring.KeyID{Name: name, Generation: generation}]
	if !used {
		return nil
	}
	return new(at.Format(time.DateOnly))
}

// keyColumns are the numbers, the ages and the last uses of keys, in the same order.
func keyColumns(rows []keyRow, now time.Time) (numbers, ages, used string) {
	var n, a, u []string
	for _, r := range rows {
		n, u = append(n, strconv.FormatInt(r.Generation, 10)), append(u, dayOrDash(r.LastUsed))
		age := "-"
		if r.Made != nil {
			age = fmt.Sprintf("%dd", max(0, int(now.Sub(*r.Made)/(24*time.Hour))))
		}
		a = append(a, age)
	}
	return strings.Join(n, ","), strings.Join(a, ","), strings.Join(u, ",")
}

func dayOrDash(day *string) string {
	if day == nil {
		return "-"
	}
	return *day
}
