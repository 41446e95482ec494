package keyring

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// namePattern keeps a name free of the underscore that separates a key's parts, and of all
// that a table key may not hold.
var namePattern = regexp.MustCompile(`^[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?$`)

// IsName says whether a caller or a hook can have this name.
func IsName(s string) bool { return namePattern.MatchString(s) }

// Masters are the secrets that all keys derive from: the current one first, and while it is
// being rotated the one before it. Each has at least 32 bytes.
type Masters [][]byte

// Derive is a secret of each master. The label keeps one use of a master apart from any other.
func (m Masters) Derive(label string) [][]byte {
	all := make([][]byte, len(m))
	for i, master := range m {
		h := hmac.New(sha256.New, master)
		h.Write([]byte(label))
		all[i] = h.Sum(nil)
	}
	return all
}

// MACs are the secrets of one generation of a holder's key, under each master.
func (k *Keyring[T, P]) MACs(name string, generation int64) [][]byte {
	return k.masters.Derive("posthorn " + k.kind.Noun + " key 1\x00" + name + "\x00" + strconv.FormatInt(generation, 10))
}

// Keys are one generation of a holder's key, under each master.
func (k *Keyring[T, P]) Keys(name string, generation int64) []string {
	var keys []string
	for _, mac := range k.MACs(name, generation) {
		keys = append(keys, fmt.Sprintf("%s%s_%d_%s", k.kind.Prefix, name, generation, hex.EncodeToString(mac)))
	}
	return keys
}

// Key is the newest key of a holder that is alive, as its owner is given it.
func (k *Keyring[T, P]) Key(t T) string {
	h := P(&t).holder()
	return k.Keys(h.Name, h.Generations[len(h.Generations)-1])[0]
}

// Issued says whether this deployment has made a key, and names it. The key need not be alive.
func (k *Keyring[T, P]) Issued(key string) (id KeyID, ok bool) {
	rest, ok := strings.CutPrefix(key, k.kind.Prefix)
	parts := strings.Split(rest, "_")
	if !ok || len(parts) != 3 || !IsName(parts[0]) {
		return KeyID{}, false
	}
	generation, err := strconv.ParseInt(parts[1], 10, 32)
	if err != nil || generation < 1 || strconv.FormatInt(generation, 10) != parts[1] {
		return KeyID{}, false
	}
	sum, err := hex.DecodeString(parts[2])
	if err != nil {
		return KeyID{}, false
	}
	found := false
	for _, mac := range k.MACs(parts[0], generation) { // all, so that the time taken tells nothing
		found = hmac.Equal(mac, sum) || found
	}
	return KeyID{parts[0], generation}, found
}
