package main

import (
	"testing"
	"time"

	"github.com/posthorn/posthorn/handler/accept/keyring"
)

func TestKeysAreListedWithAgeAndUse(t *testing.T) {
	t.Parallel()
	day := noon.Truncate(24 * time.Hour)
	u := uses{map[keyring.KeyID]time.Time{{Name: "shop", Generation: 3}: day, {Name: "other", Generation: 2}: day}, noon}
	for _, c := range []struct {
		name                string
		generations         []int64
		made                map[int64]time.Time
		numbers, ages, used string
	}{
		{"none", nil, nil, "", "", ""},
		{"made long ago", []int64{1}, nil, "1", "-", "-"},
		{"used", []int64{2, 3}, map[int64]time.Time{2: noon.AddDate(0, 0, -400), 3: noon.Add(-time.Hour)}, "2,3", "400d,0d", "-,2026-11-23"},
		{"a clock that runs behind", []int64{3}, map[int64]time.Time{3: noon.Add(48 * time.Hour)}, "3", "0d", "2026-11-23"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			numbers, ages, used := keyColumns(u.keys("shop", c.generations, c.made), u.now)
			if numbers != c.numbers || ages != c.ages || used != c.used {
				t.Errorf("got %q, %q, %q", numbers, ages, used)
			}
		})
	}
}
