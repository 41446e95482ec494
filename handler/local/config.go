package main

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/caarlos0/env/v11"

	"github.com/posthorn/posthorn/handler/local/emulator"
	"github.com/posthorn/posthorn/handler/local/guard"
	"github.com/posthorn/posthorn/handler/settings"
)

// config is what a developer may set. Every address is of this machine.
type config struct {
	Gateway   string `env:"POSTHORN_LOCAL_GATEWAY" envDefault:"127.0.0.1:7071"`
	Inbox     string `env:"POSTHORN_LOCAL_INBOX" envDefault:"127.0.0.1:8025"`
	Emulator  string `env:"POSTHORN_LOCAL_EMULATOR" envDefault:"127.0.0.1:8026"`
	Downloads string `env:"POSTHORN_LOCAL_DOWNLOADS" envDefault:"127.0.0.1:8027"` // storage without a certificate to accept
	Identity  string `env:"POSTHORN_LOCAL_IDENTITY" envDefault:"127.0.0.1:8028"`  // managed identity
	BlobPort  int    `env:"POSTHORN_LOCAL_BLOB_PORT" envDefault:"10000"`
	QueuePort int    `env:"POSTHORN_LOCAL_QUEUE_PORT" envDefault:"10001"`
	TablePort int    `env:"POSTHORN_LOCAL_TABLE_PORT" envDefault:"10002"`
	Names     string `env:"POSTHORN_LOCAL_NAMES"`                   // more names of this machine, with commas
	Dir       string `env:"POSTHORN_LOCAL_DIR" envDefault:".local"` // holds all data

	Quota string `env:"POSTHORN_QUOTA" envDefault:"custom-domain"` // the gateway's; the emulator keeps the same
}

// readConfig makes Dir absolute, because handler and Azurite run elsewhere.
func readConfig(environ []string) (config, error) {
	var c config
	if err := env.ParseWithOptions(&c, env.Options{Environment: env.ToMap(environ)}); err != nil {
		return config{}, fmt.Errorf("a setting cannot be read: %w", err)
	}
	dir, err := filepath.Abs(c.Dir)
	c.Dir = dir
	return c, err
}

// names are what the parts of this process answer to, the gateway apart.
func (c config) names() guard.Names {
	return guard.Names{More: guard.Hosts(c.Names, c.Gateway, c.Inbox, c.Emulator, c.Downloads, c.Identity), Setting: "POSTHORN_LOCAL_NAMES"}
}

func (c config) path(name string) string { return filepath.Join(c.Dir, name) }
func (c config) publicURL() string       { return "http://" + c.Gateway }
func (c config) blobHost() string        { return storageHost("blob", c.BlobPort) }
func (c config) queueHost() string       { return storageHost("queue", c.QueuePort) }
func (c config) certFile() string        { return c.path("azurite/cert.pem") }
func (c config) port(port int) string    { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
func storageHost(kind string, p int) string {
	return fmt.Sprintf("devstoreaccount1.%s.localhost:%d", kind, p)
}

// limits are those of the subscription that the emulator plays.
func (c config) limits() emulator.Limits {
	switch c.Quota {
	case "custom-domain":
		return emulator.CustomDomain
	case "managed-domain":
		return emulator.ManagedDomain
	}
	return emulator.Limits{}
}

// gatewayEnv is the environment of the gateway. What joins the local parts is
// fixed, whatever a developer's shell holds for a deployment in Azure; the rest
// may be set from outside, such as POSTHORN_LANGUAGE=de make run.
func (c config) gatewayEnv(environ []string) []string {
	hostBody := strconv.FormatInt(settings.Profiles()[0].HostBodyBytes, 10)
	own := []string{"POSTHORN_QUOTA=" + c.Quota, "POSTHORN_LOG_LEVEL=info", "FUNCTIONS_REQUEST_BODY_SIZE_LIMIT=" + hostBody}
	if c.Quota == "custom" { // the emulator has no limits then
		own = append(own, "POSTHORN_QUOTA_PER_MINUTE=200000", "POSTHORN_QUOTA_PER_HOUR=5000000")
	}
	return append(append(own, environ...), c.fixedEnv()...)
}

// settingsIn are the gateway's settings in an environment, without the rest of it;
// what stands last counts.
func settingsIn(env []string) map[string]string {
	values := map[string]string{}
	for _, setting := range env {
		name, value, _ := strings.Cut(setting, "=")
		for _, prefix := range []string{"POSTHORN_", "AZURE_CLIENT_ID", "IDENTITY_", "OTEL_", "FUNCTIONS_REQUEST_BODY_SIZE_LIMIT"} {
			if strings.HasPrefix(name, prefix) && !strings.HasPrefix(name, "POSTHORN_LOCAL_") {
				values[name] = value
			}
		}
	}
	return values
}

func (c config) fixedEnv() []string {
	return []string{
		"POSTHORN_PUBLIC_URL=" + c.publicURL(),
		"POSTHORN_PRODUCTION=false",
		"POSTHORN_MASTER_KEY=",
		"POSTHORN_MASTER_KEY_OLD=",
		"POSTHORN_MASTER_KEY_FILE=" + c.path("master.key"),
		"POSTHORN_BLOB_ENDPOINT=https://" + c.blobHost(),
		"POSTHORN_TABLE_ENDPOINT=https://" + c.port(c.TablePort) + "/devstoreaccount1", // as package azurite says
		"POSTHORN_QUEUE_ENDPOINT=https://" + c.queueHost(),
		"POSTHORN_QUEUE__queueServiceUri=",
		"POSTHORN_STORAGE_CA_FILE=" + c.certFile(),
		"POSTHORN_STORAGE_CHECKSUM=md5",
		"POSTHORN_DOWNLOAD_ORIGIN=http://" + c.Downloads,
		"POSTHORN_CREDENTIAL=managed-identity",
		"AZURE_CLIENT_ID=",
		"IDENTITY_ENDPOINT=http://" + c.Identity + identityPath,
		"IDENTITY_HEADER=" + identitySecret,
		"POSTHORN_ENTRA_TENANT=" + localTenant,
		"POSTHORN_ENTRA_AUDIENCE=" + localAudience,
		"POSTHORN_ENTRA_AUTHORITY=http://" + c.Identity,
		"POSTHORN_ACS_ENDPOINT=http://" + c.Emulator,
		"POSTHORN_ACS_ACCESS_KEY=" + emulator.DevelopmentKey,
		"POSTHORN_ACS_SCOPE=",
	}
}

// createMasterKey leaves a key that is there as it is: callers' keys derive from it.
func createMasterKey(file string) error {
	if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	var key [32]byte
	rand.Read(key[:])
	return os.WriteFile(file, []byte(hex.EncodeToString(key[:])+"\n"), 0o600)
}
