package main

import (
	"time"

	"github.com/posthorn/posthorn/handler/local/azurite"
	"github.com/posthorn/posthorn/handler/local/issuer"
)

// The local tenant of Entra ID, what its tokens for the gateway are for, and
// the application that they are issued to: the caller of the samples.
const (
	localTenant   = "00000000-0000-0000-0000-0000000000a1"
	localAudience = "api://posthorn"
	localApp      = "00000000-0000-0000-0000-0000000000c3"
	localObject   = "00000000-0000-0000-0000-0000000000b2"
)

// tenant gives tokens that the gateway believes for itself, and others that only
// Azurite does.
type tenant struct {
	*issuer.Issuer
	authority string // the address at which its keys are listed
}

func newTenant(c config) (tenant, error) {
	i, err := issuer.New(localTenant)
	return tenant{i, "http://" + c.Identity}, err
}

// token is one for an audience, from one time until another.
func (t tenant) token(audience string, from, until time.Time) (string, error) {
	if audience != localAudience {
		return azurite.Token(audience, from, until), nil
	}
	claims := t.Claims(t.authority, audience, localApp, localObject, from)
	claims["exp"] = until.Unix()
	return t.Token(claims)
}
