package entra_test

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/posthorn/posthorn/handler/local/issuer"
)

func part(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

func decode(t *testing.T, part string) string {
	t.Helper()
	text, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// signed signs good claims in another way.
func signed(t *testing.T, o *office, key jose.SigningKey, options *jose.SignerOptions) string {
	t.Helper()
	signer, err := jose.NewSigner(key, options)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(o.issuer.Claims(o.url, audience, app, object, o.now()))
	if err != nil {
		t.Fatal(err)
	}
	s, err := signer.Sign(text)
	if err != nil {
		t.Fatal(err)
	}
	token, err := s.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// confused has the public key, which everybody has, for the secret of an HMAC.
func confused(t *testing.T, o *office, alg jose.SignatureAlgorithm) string {
	t.Helper()
	key := o.issuer.Key()
	der, err := x509.MarshalPKIXPublicKey(key.Public().Key)
	if err != nil {
		t.Fatal(err)
	}
	secret := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	return signed(t, o, jose.SigningKey{Algorithm: alg, Key: secret}, (&jose.SignerOptions{}).WithHeader("kid", o.issuer.Key().KeyID))
}

func resigned(t *testing.T, o *office, alg jose.SignatureAlgorithm) string {
	t.Helper()
	return signed(t, o, jose.SigningKey{Algorithm: alg, Key: o.issuer.Key().Key}, (&jose.SignerOptions{}).WithHeader("kid", o.issuer.Key().KeyID))
}

func withKeyID(t *testing.T, o *office, id string) string {
	t.Helper()
	return signed(t, o, jose.SigningKey{Algorithm: jose.RS256, Key: o.issuer.Key().Key}, (&jose.SignerOptions{}).WithHeader("kid", id))
}

// embedded brings the key to verify it with along.
func embedded(t *testing.T, o *office, other *issuer.Issuer) string {
	t.Helper()
	return signed(t, o, jose.SigningKey{Algorithm: jose.RS256, Key: other.Key().Key}, &jose.SignerOptions{EmbedJWK: true})
}
