package hook

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"errors"
	"io"
	"strconv"
	"strings"
)

// secrets are what a delivery to h may be signed with. Where the sender does not
// dictate its secret, that is the hook's key, or for Standard Webhooks, whose
// secrets are bytes in Base64, the MAC in it.
func (r *Registry) secrets(h Hook) ([][]byte, error) {
	if h.lacksSecret() {
		return nil, errNoSecret
	}
	if h.Dictated {
		secret, err := r.unseal(h.Name, h.Sealed)
		if err != nil {
			return nil, err
		}
		secret, err = h.Policy.Check.secret(secret)
		return [][]byte{secret}, err
	}
	var all [][]byte
	for _, generation := range h.Generations {
		if h.Policy.Check == CheckStandard {
			all = append(all, r.MACs(h.Name, generation)...)
			continue
		}
		for _, key := range r.Keys(h.Name, generation) {
			all = append(all, []byte(key))
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
func (r *Registry) seal(name string, secret []byte) ([]byte, error) {
	boxes, err := r.ciphers()
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, boxes[0].NonceSize())
	if _, err := io.ReadFull(r.random, nonce); err != nil {
		return nil, err
	}
	return boxes[0].Seal(nonce, nonce, secret, []byte(name)), nil
}

var errSealed = errors.New("the hook's secret was sealed under another master key: set it again with hooks rotate --secret-file")

// errNoSecret is for a hook that came from another deployment without its sender's secret.
var errNoSecret = errors.New("the secret of the hook's sender is not set: set it with hooks rotate --secret-file")

func (r *Registry) unseal(name string, sealed []byte) ([]byte, error) {
	boxes, err := r.ciphers()
	if err != nil {
		return nil, err
	}
	for _, box := range boxes {
		n := min(box.NonceSize(), len(sealed))
		if secret, err := box.Open(nil, sealed[:n], sealed[n:], []byte(name)); err == nil {
			return secret, nil
		}
	}
	return nil, errSealed
}

// ciphers seal and unseal, one for each master.
func (r *Registry) ciphers() (all []cipher.AEAD, err error) {
	for _, key := range r.masters.Derive("posthorn hook secret 1") {
		block, err := aes.NewCipher(key)
		if err != nil {
			return nil, err
		}
		box, err := cipher.NewGCM(block)
		if err != nil {
			return nil, err
		}
		all = append(all, box)
	}
	return all, nil
}

// seconds reads a time in seconds since 1970 as senders write it, or a generation.
func seconds(s string) (int64, bool) {
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil && strconv.FormatInt(n, 10) == s
}

func standardSecret(secret []byte) string {
	return standardPrefix + base64.StdEncoding.EncodeToString(secret)
}
