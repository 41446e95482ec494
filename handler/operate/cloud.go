package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/posthorn/posthorn/handler/operate/azure"
)

// connection is the deployment that commands work on, as `posthorn connect` has found
// it. It holds no secret.
type connection struct {
	Subscription string   `json:"subscription"`
	Site         azure.ID `json:"site"`         // the function app
	Service      azure.ID `json:"service"`      // the Communication Services resource
	EmailService azure.ID `json:"emailService"` // what domains belong to
	// Settings are the handler's, by name, without those that are secret.
	Settings map[string]string `json:"settings"`
	// MasterKey is the address of the secret in the vault; empty if there is none.
	MasterKey string `json:"masterKey,omitempty"`
}

// cloud is Azure as a command sees it.
type cloud struct {
	*azure.Client
	at connection
}

// errUnconnected says that nobody has chosen a deployment yet.
var errUnconnected = usageError("no deployment is connected. Run \"posthorn connect\" first")

// cloud reads the connection. It makes no request.
func (c *console) cloud() (cloud, error) {
	at, err := c.connection()
	if err != nil {
		return cloud{}, err
	}
	client, err := c.arm()
	return cloud{client, at}, err
}

// connection reads the file of the connection.
func (c *console) connection() (connection, error) {
	name, err := c.connectionFile()
	if err != nil {
		return connection{}, err
	}
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return connection{}, errUnconnected
	}
	var at connection
	if err == nil {
		err = json.Unmarshal(text, &at)
	}
	if err != nil {
		return connection{}, fmt.Errorf("read the connection: %w; run \"posthorn connect\" to write it anew", err)
	}
	if err := refuseForeign(at.Settings); err != nil {
		return connection{}, fmt.Errorf("%w, and run \"posthorn connect\" again", err)
	}
	return at, nil
}

// connectionFile is POSTHORN_CONNECTION, or connection.json in the folder that the
// system has for settings of programs.
func (c *console) connectionFile() (string, error) {
	for _, v := range c.environ {
		if name, found := strings.CutPrefix(v, "POSTHORN_CONNECTION="); found && name != "" {
			return name, nil
		}
	}
	folder, err := os.UserConfigDir()
	if err != nil {
		return "", usageError("no folder for settings is known here: set POSTHORN_CONNECTION to the name of a file")
	}
	return filepath.Join(folder, "posthorn", "connection.json"), nil
}

// roleAdvice is how an operator gets the right that Azure misses, and what for.
func roleAdvice(e *azure.Error) string {
	role := roleFor(e.Action)
	if e.Action == "" {
		return "Your account lacks a right. Ask the owner of the subscription for the role " + role + "."
	}
	scope := word(e.Scope)
	if e.Vault != "" { // its subscription and group are not known; sh and PowerShell read this alike
		scope = fmt.Sprintf(`"$(az keyvault show --name %s --query id --output tsv)/secrets/%s"`, e.Vault, e.Secret)
	}
	return fmt.Sprintf("Your account lacks the right %s. The role %q has it:\n"+
		"az role assignment create --role %q --assignee YOUR-ACCOUNT --scope %s", e.Action, role, role, scope)
}

// roleFor names the smallest built-in role with a right.
// Source: learn.microsoft.com, "Azure built-in roles".
func roleFor(action string) string {
	for _, r := range []struct{ prefix, role string }{
		{"microsoft.communication/", "Communication and Email Service Owner"},
		{"microsoft.insights/", "Monitoring Reader"},
		{"microsoft.web/", "Website Contributor"},
		{"microsoft.network/dnszones/", "DNS Zone Contributor"},
		{"microsoft.keyvault/vaults/secrets/", "Key Vault Secrets User"},
		{"microsoft.authorization/roleassignments/write", "User Access Administrator"},
	} {
		if strings.HasPrefix(strings.ToLower(action), r.prefix) {
			return r.role
		}
	}
	return "Reader"
}
