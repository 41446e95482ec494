package hook

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
)

// KeyPrefix starts the key of every hook. No key of a caller does: a caller's name
// has no underscore.
const KeyPrefix = "ph_hook_"

// namePattern is that of callers, for the same reasons.
var namePattern = regexp.MustCompile(`^[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?$`)

// Masters are the secrets that all keys derive from: the current one first, and
// while it is being rotated the one before it. Each has at least 32 bytes.
type Masters [][]byte

// mac is the secret of one generation of one hook. The label keeps this use of the
// master apart from any other.
func mac(master []byte, name string, generation int64) []byte {
	h := hmac.New(sha256.New, master)
	fmt.Fprintf(h, "posthorn hook key 1\x00%s\x00%d", name, generation)
	return h.Sum(nil)
}

// key is ph_hook_NAME_GENERATION_MAC.
func key(master []byte, name string, generation int64) string {
	return fmt.Sprintf("%s%s_%d_%s", KeyPrefix, name, generation, hex.EncodeToString(mac(master, name, generation)))
}

// opens says whether a key is that of one of the hook's live generations. All of
// them are tried, so that the time taken tells nothing.
func (m Masters) opens(h Hook, given string) bool {
	found := false
	for _, generation := range h.Generations {
		for _, master := range m {
			if hmac.Equal([]byte(key(master, h.Name, generation)), []byte(given)) {
				found = true
			}
		}
	}
	return found
}

// newer says whether d has, in whatever header, a key of h that was made after h was read.
func (m Masters) newer(h Hook, d Delivery) bool {
	given, _ := h.given(d)
	all := []string{given}
	for _, values := range d.Header { // which of them h takes a key from is not known yet
		all = append(all, values...)
	}
	for _, given := range all {
		rest, _ := strings.CutPrefix(given, KeyPrefix+h.Name+"_")
		number, _, _ := strings.Cut(rest, "_")
		generation, ok := seconds(number)
		if ok && generation > h.last && m.opens(Hook{Name: h.Name, Generations: []int64{generation}}, given) {
			return true
		}
	}
	return false
}

// secrets are what a delivery to h may be signed with. Where the sender does not
// dictate its secret, that is the hook's key, or for Standard Webhooks, whose
// secrets are bytes in Base64, the MAC in it.
func (m Masters) secrets(h Hook) ([][]byte, error) {
	if h.wanted {
		return nil, errWanted
	}
	if h.sealed != nil {
		secret, err := m.unseal(h.Name, h.sealed)
		if err != nil {
			return nil, err
		}
		secret, err = h.Policy.Check.secret(secret)
		return [][]byte{secret}, err
	}
	var all [][]byte
	for _, generation := range h.Generations {
		for _, master := range m {
			if h.Policy.Check == CheckStandard {
				all = append(all, mac(master, h.Name, generation))
			} else {
				all = append(all, []byte(key(master, h.Name, generation)))
			}
		}
	}
	return all, nil
}

// secret is the one that a sender shows as text, as the bytes that sign.
func (c Check) secret(shown []byte) ([]byte, error) {
	if c != CheckStandard {
		return shown, nil
	}
	secret, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(string(shown), standardPrefix))
	if err != nil || len(secret) == 0 {
		return nil, errors.New("the secret of Standard Webhooks is not whsec_ and Base64")
	}
	return secret, nil
}

// seal keeps a secret that a sender dictates: AES-256-GCM under a key that derives
// from the master, bound to the hook's name. The nonce stands before it.
func (m Masters) seal(random io.Reader, name string, secret []byte) ([]byte, error) {
	box, err := sealing(m[0])
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, box.NonceSize())
	if _, err := io.ReadFull(random, nonce); err != nil {
		return nil, err
	}
	return box.Seal(nonce, nonce, secret, []byte(name)), nil
}

var errSealed = errors.New("the hook's secret was sealed under another master key: set it again with hooks rotate --secret-file")

// errWanted is for a hook that came from another deployment without its sender's secret.
var errWanted = errors.New("the secret of the hook's sender is not set: set it with hooks rotate --secret-file")

func (m Masters) unseal(name string, sealed []byte) ([]byte, error) {
	for _, master := range m {
		box, err := sealing(master)
		if err != nil {
			return nil, err
		}
		if len(sealed) < box.NonceSize() {
			return nil, errSealed
		}
		secret, err := box.Open(nil, sealed[:box.NonceSize()], sealed[box.NonceSize():], []byte(name))
		if err == nil {
			return secret, nil
		}
	}
	return nil, errSealed
}

func sealing(master []byte) (cipher.AEAD, error) {
	h := hmac.New(sha256.New, master)
	h.Write([]byte("posthorn hook secret 1"))
	block, err := aes.NewCipher(h.Sum(nil))
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// seconds reads a time in seconds since 1970 as senders write it, or a generation.
func seconds(s string) (int64, bool) {
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil && strconv.FormatInt(n, 10) == s
}

func standardSecret(secret []byte) string {
	return standardPrefix + base64.StdEncoding.EncodeToString(secret)
}
