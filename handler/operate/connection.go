package main

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/posthorn/posthorn/handler/settings"
)

// kept are the settings that the operator's program takes over. It takes what it knows,
// and nothing that opens anything: no secret, no reference to one, no connection string,
// no file of the app's own disk, and not the identity of the app.
func kept(all map[string]string) map[string]string {
	some := map[string]string{}
	for _, row := range settings.Table() {
		name := row.Variable
		value := all[name]
		if value == "" || !strings.HasPrefix(name, "POSTHORN_") || strings.HasSuffix(name, "_FILE") || settings.Secret(name) ||
			name == "POSTHORN_CREDENTIAL" || strings.HasPrefix(value, vaultReference) {
			continue
		}
		some[name] = value
	}
	return some
}

// vaultReference begins the value of a setting that is a secret of a vault.
const vaultReference = "@Microsoft.KeyVault("

// secretAddress is the address of the secret that a reference stands for, or empty: of
// @Microsoft.KeyVault(SecretUri=…) or @Microsoft.KeyVault(VaultName=…;SecretName=…).
// Source: learn.microsoft.com, "Use Key Vault references as app settings".
func secretAddress(value string) string {
	inner, found := strings.CutPrefix(strings.TrimSpace(value), vaultReference)
	if !found {
		return ""
	}
	parts := map[string]string{}
	for part := range strings.SplitSeq(strings.TrimSuffix(inner, ")"), ";") {
		name, text, _ := strings.Cut(part, "=")
		parts[strings.ToLower(strings.TrimSpace(name))] = strings.TrimSpace(text)
	}
	address := parts["secreturi"]
	if address == "" && parts["vaultname"] != "" && parts["secretname"] != "" {
		address = "https://" + parts["vaultname"] + ".vault.azure.net/secrets/" + parts["secretname"] + "/" + parts["secretversion"]
	}
	return strings.TrimSuffix(address, "/")
}

// hostOf is the host of an address, or empty.
func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

// keep writes the file of the connection, whole or not at all, for this user alone.
func (c *console) keep(at connection) error {
	file, err := c.connectionFile()
	if err != nil {
		return err
	}
	text, err := json.MarshalIndent(at, "", "  ")
	if err == nil {
		err = writeWhole(file, append(text, '\n'))
	}
	if err != nil {
		return fmt.Errorf("keep the connection: %w", err)
	}
	return nil
}

func writeWhole(file string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(file), ".connection-*") // mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if closing := f.Close(); err == nil {
		err = closing
	}
	if err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}
