package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// secrets prove the caller: a key, and a connection string for ACS's SDKs.
type secrets struct{ key, connection string }

func readSecrets(c config) (secrets, bool) {
	key, keyErr := os.ReadFile(c.path("key"))
	connection, err := os.ReadFile(c.path("connection-string"))
	// The connection string names the gateway's address, which may have changed.
	if keyErr != nil || err != nil || !strings.HasPrefix(string(connection), "endpoint="+c.publicURL()+"/;") {
		return secrets{}, false
	}
	return secrets{strings.TrimSpace(string(key)), strings.TrimSpace(string(connection))}, true
}

func writeSecrets(c config, s secrets) error {
	return errors.Join(os.WriteFile(c.path("key"), []byte(s.key+"\n"), 0o600),
		os.WriteFile(c.path("connection-string"), []byte(s.connection+"\n"), 0o600))
}

// command runs the operator's program.
func (g gatewayRun) command(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, g.operate, args...)
	cmd.Env = g.env
	var complaint strings.Builder
	cmd.Stderr = &complaint
	said, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, strings.TrimSpace(complaint.String()))
	}
	return string(said), nil
}
