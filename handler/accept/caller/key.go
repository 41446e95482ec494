package caller

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
)

// KeyPrefix starts every key, so that scanners for leaked secrets can find one.
const KeyPrefix = "ph_"

// isName keeps a name free of the underscore that separates a key's parts and of
// all that a table key may not hold.
func isName(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return 1 <= len(s) && len(s) <= 32 && s[0] != '-' && s[len(s)-1] != '-'
}

// Masters are the secrets that all keys derive from: the current one first, and
// while it is being rotated the one before it. Each has at least 32 bytes.
type Masters [][]byte

// mac is the secret of one generation of one caller's key.
func mac(master []byte, name string, generation int64) []byte {
	h := hmac.New(sha256.New, master)
	// The label keeps this use of the master apart from any other.
	h.Write(strconv.AppendInt([]byte("posthorn caller key 1\x00"+name+"\x00"), generation, 10))
	return h.Sum(nil)
}

// Key is what a caller is given: ph_NAME_GENERATION_MAC.
func (m Masters) Key(name string, generation int64) string {
	return fmt.Sprintf("%s%s_%d_%s", KeyPrefix, name, generation, hex.EncodeToString(mac(m[0], name, generation)))
}

// AccessKey is the same secret in the form of an ACS access key.
func (m Masters) AccessKey(name string, generation int64) string {
	return base64.StdEncoding.EncodeToString(mac(m[0], name, generation))
}

// parseKey takes a key apart. It promises nothing about the MAC.
func parseKey(key string) (name string, generation int64, sum []byte, ok bool) {
	rest, ok := strings.CutPrefix(key, KeyPrefix)
	if !ok {
		return "", 0, nil, false
	}
	parts := strings.Split(rest, "_")
	if len(parts) != 3 || !isName(parts[0]) {
		return "", 0, nil, false
	}
	generation, err := strconv.ParseInt(parts[1], 10, 32)
	if err != nil || generation < 1 || strconv.FormatInt(generation, 10) != parts[1] {
		return "", 0, nil, false
	}
	sum, err = hex.DecodeString(parts[2])
	if err != nil || len(sum) != sha256.Size {
		return "", 0, nil, false
	}
	return parts[0], generation, sum, true
}

// proves says whether sum is the MAC of name and generation under any master.
func (m Masters) proves(name string, generation int64, sum []byte) bool {
	found := false
	for _, master := range m {
		if hmac.Equal(mac(master, name, generation), sum) {
			found = true
		}
	}
	return found
}
