package azurite

import (
	"encoding/base64"
	"encoding/json"
	"time"
)

// The tenant and the object that tokens are of; delegation keys repeat them.
const (
	tenant = "00000000-0000-0000-0000-0000000000a1"
	object = "00000000-0000-0000-0000-0000000000b2"
)

// Token makes an access token for an audience, such as https://storage.azure.com,
// from one time until another. It has the form of Microsoft Entra's tokens and no
// signature, which Azurite with --oauth basic does not ask for.
func Token(audience string, from, until time.Time) string {
	claims, err := json.Marshal(map[string]any{
		"aud": audience,
		"iss": "https://sts.windows.net/" + tenant + "/",
		"tid": tenant,
		"oid": object,
		"sub": object,
		"iat": from.Unix(),
		"nbf": from.Unix(),
		"exp": until.Unix(),
		"ver": "1.0",
	})
	if err != nil {
		panic(err) // strings and numbers always marshal
	}
	part := base64.RawURLEncoding.EncodeToString
	return part([]byte(`{"alg":"none","typ":"JWT"}`)) + "." + part(claims) + "." + part([]byte("unsigned"))
}
