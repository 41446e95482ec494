package main

import (
	"context"
	"errors"
	"log/slog"
	"strings"

	"github.com/posthorn/posthorn/handler/settings"
	"github.com/posthorn/posthorn/handler/wiring"
)

// deployment is what a command works on. It has no master key: it knows callers and
// hooks, and makes no keys of theirs.
type deployment struct {
	*wiring.App
	publicURL   string
	acsEndpoint string
}

// keyed is a deployment with its master key, for commands that make or show keys.
type keyed struct{ deployment }

// open is for commands that need no key. It makes no request.
func (c *console) open() (deployment, error) {
	s, _, err := c.settings()
	if err != nil {
		return deployment{}, err
	}
	s.MasterKey, s.MasterKeyFile, s.OldMasterKey = "", "", ""
	return build(s)
}

// openKeyed reads the key from the vault if the environment has none.
func (c *console) openKeyed(ctx context.Context) (keyed, error) {
	s, later, err := c.settings()
	if err != nil {
		return keyed{}, err
	}
	if later != nil {
		if s.MasterKey, err = c.masterKey(ctx, *later); err != nil {
			return keyed{}, err
		}
	}
	d, err := build(s)
	return keyed{d}, err
}

// masterKey asks the vault. The key is written nowhere.
func (c *console) masterKey(ctx context.Context, at connection) (string, error) {
	if at.MasterKey == "" {
		return "", usageError("the settings of " + at.Site.Name() + " name no Key Vault secret for the master key. Set POSTHORN_MASTER_KEY")
	}
	client, err := c.arm()
	if err != nil {
		return "", err
	}
	return client.Secret(ctx, at.MasterKey)
}

func build(s settings.Settings) (deployment, error) {
	if err := refuseForeign(map[string]string{blobEndpoint: s.BlobEndpoint, tableEndpoint: s.TableEndpoint, queueEndpoint: s.QueueEndpoint, acsEndpoint: s.ACSEndpoint}); err != nil {
		return deployment{}, err
	}
	app, err := wiring.New(s, slog.New(slog.DiscardHandler))
	if err != nil {
		return deployment{}, settingsError{err}
	}
	return deployment{app, s.PublicURL, s.ACSEndpoint}, nil
}

// noKey is in the place of a key that is read later, or not at all.
var noKey = strings.Repeat("0", 64)

// settings are those of the environment if it has all that there must be; else those of
// the connection, with the environment's over them. If the key is still to be read,
// later is the connection that says where it is.
func (c *console) settings() (s settings.Settings, later *connection, err error) {
	s, err = settings.Load(c.environ)
	if err == nil {
		return s, nil, nil
	}
	at, unread := c.connection()
	if _, unconnected := errors.AsType[usageError](unread); unconnected {
		if set, _ := c.endpoints(); len(set) == 0 {
			err = errors.New("no deployment is connected")
		}
		return s, nil, settingsError{err}
	}
	if unread != nil {
		return s, nil, unread
	}
	if err := c.mixed(at); err != nil {
		return s, nil, err
	}
	environ := []string{"POSTHORN_CREDENTIAL=default"}
	for name, value := range at.Settings {
		environ = append(environ, name+"="+value)
	}
	environ = append(environ, c.environ...)
	if !c.has("POSTHORN_MASTER_KEY") && !c.has("POSTHORN_MASTER_KEY_FILE") {
		later, environ = &at, append(environ, "POSTHORN_MASTER_KEY="+noKey)
	}
	if s, err = settings.Load(environ); err != nil {
		return s, nil, settingsError{err}
	}
	return s, later, nil
}

// has tells whether the environment sets a variable.
func (c *console) has(name string) bool { return c.variable(name) != "" }

// mixed refuses an environment that names some places of a deployment and not others:
// the rest would be another deployment's.
func (c *console) mixed(at connection) error {
	set, unset := c.endpoints()
	if len(set) == 0 || len(unset) == 0 {
		return nil
	}
	return usageError("the environment sets " + strings.Join(set, ", ") + ", and lacks " + strings.Join(unset, ", ") +
		".\nTo work on " + at.Site.Name() + ", unset what is set. To work on another deployment, set what is missing.")
}
