package test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/posthorn/posthorn/handler/test/world"
)

// Settings that are wrong end the handler at once, with 1: at 0 the host would
// not try again. Each is named, and none is quoted.
func (p *product) testWrongSettings(t *testing.T) {
	complete := []string{
		"POSTHORN_PUBLIC_URL=https://mail.example.com", "POSTHORN_MASTER_KEY=" + world.MasterKey,
		"POSTHORN_BLOB_ENDPOINT=https://a.blob.example.com", "POSTHORN_TABLE_ENDPOINT=https://a.table.example.com",
		"POSTHORN_QUEUE_ENDPOINT=https://a.queue.example.com", "POSTHORN_ACS_ENDPOINT=https://acs.example.com",
		// It listens before it looks at files.
		"FUNCTIONS_CUSTOMHANDLER_PORT=" + strconv.Itoa(world.FreePort(t)),
	}
	for _, c := range []struct {
		name string
		env  []string
		want []string
	}{
		{"none at all", []string{"PATH=/"}, []string{
			"POSTHORN_PUBLIC_URL: is missing", "POSTHORN_MASTER_KEY: is missing", "POSTHORN_BLOB_ENDPOINT: is missing",
			"POSTHORN_TABLE_ENDPOINT: is missing", "POSTHORN_QUEUE_ENDPOINT: is missing", "POSTHORN_ACS_ENDPOINT: is missing",
		}},
		{"nearly none", []string{"PATH=/", "POSTHORN_BLOB_ENDPOINT=https://account.blob.core.windows.net"}, []string{
			"POSTHORN_PUBLIC_URL: is missing", "POSTHORN_MASTER_KEY: is missing",
			"POSTHORN_TABLE_ENDPOINT: is missing", "POSTHORN_QUEUE_ENDPOINT: is missing", "POSTHORN_ACS_ENDPOINT: is missing",
		}},
		{"all sorts of nonsense", append(complete, "FUNCTIONS_CUSTOMHANDLER_PORT=quux", "POSTHORN_REQUEST_TIMEOUT=quux",
			"POSTHORN_PRODUCTION=quux", "POSTHORN_LOG_LEVEL=quux", "POSTHORN_MAX_REQUEST_BYTES=quux"), []string{
			"FUNCTIONS_CUSTOMHANDLER_PORT: ", "POSTHORN_REQUEST_TIMEOUT: ", "POSTHORN_PRODUCTION: ",
			"POSTHORN_LOG_LEVEL: ", "POSTHORN_MAX_REQUEST_BYTES: ",
		}},
		{"values out of range", append(complete, "FUNCTIONS_CUSTOMHANDLER_PORT=65536", "POSTHORN_REQUEST_TIMEOUT=1s",
			"POSTHORN_MAX_REQUEST_BYTES=1", "POSTHORN_ACS_CONNECTIONS=251"), []string{
			"FUNCTIONS_CUSTOMHANDLER_PORT: must be at most 65535", "POSTHORN_REQUEST_TIMEOUT: must be at least 5s",
			"POSTHORN_MAX_REQUEST_BYTES: must be at least 65536", "POSTHORN_ACS_CONNECTIONS: must be at most 250",
		}},
		{"words that are none of those", append(complete, "POSTHORN_CREDENTIAL=quux", "POSTHORN_QUOTA=quux",
			"POSTHORN_QUOTA_COST=quux", "POSTHORN_LANGUAGE=quux quux"), []string{
			"POSTHORN_CREDENTIAL: must be one of managed-identity, ", "POSTHORN_QUOTA: must be one of custom-domain, ",
			"POSTHORN_QUOTA_COST: must be one of ", "POSTHORN_LANGUAGE: ",
		}},
		{"addresses that are none", append(complete, "POSTHORN_PUBLIC_URL=quux", "POSTHORN_BLOB_ENDPOINT=http://quux.example.com",
			"POSTHORN_TABLE_ENDPOINT=quux", "POSTHORN_QUEUE_ENDPOINT=quux", "POSTHORN_ACS_ENDPOINT=quux"), []string{
			"POSTHORN_PUBLIC_URL: ", "POSTHORN_BLOB_ENDPOINT: must start with https://", "POSTHORN_TABLE_ENDPOINT: ", "POSTHORN_QUEUE_ENDPOINT: ", "POSTHORN_ACS_ENDPOINT: ",
		}},
		{"a custom quota without numbers", append(complete, "POSTHORN_QUOTA=custom"), []string{
			"POSTHORN_QUOTA_PER_MINUTE: is missing", "POSTHORN_QUOTA_PER_HOUR: is missing",
		}},
		{"an hour that is less than a minute", append(complete, "POSTHORN_QUOTA=custom", "POSTHORN_QUOTA_PER_MINUTE=9", "POSTHORN_QUOTA_PER_HOUR=8"), []string{
			"POSTHORN_QUOTA_PER_HOUR: must not be smaller",
		}},
		{"a master key of another length", append(complete, "POSTHORN_MASTER_KEY=abcdef"), []string{"POSTHORN_MASTER_KEY: must be 64 characters long"}},
		{"a master key that is no hex", append(complete, "POSTHORN_MASTER_KEY="+strings.Repeat("quux", 16)), []string{"POSTHORN_MASTER_KEY: "}},
		{"a file that is not there", append(complete, "POSTHORN_STORAGE_CA_FILE=/nowhere/ca.pem"), []string{"POSTHORN_STORAGE_CA_FILE: "}},
	} {
		for _, args := range [][]string{nil, {"callers", "list"}} {
			t.Run(strings.Join(append([]string{c.name}, args...), ", "), func(t *testing.T) {
				t.Parallel()
				program := p.HandlerFile
				if args != nil {
					program = p.OperateFile
				}
				h := world.Run(t, c.env, program, args...)
				said := h.Stderr.String()
				if code := h.ExitCode(t); code != 1 || !strings.HasPrefix(said, "posthorn: ") || h.Stdout.String() != "" {
					t.Errorf("exit code %d, standard error %q, standard output %q", code, said, h.Stdout.String())
				}
				want := c.want
				if args != nil && c.name == "none at all" {
					want = []string{"no deployment is connected", "posthorn connect"}
				}
				for _, want := range want {
					if !strings.Contains(said, want) {
						t.Errorf("want %q in %q", want, said)
					}
				}
				if strings.Contains(said, "quux") || strings.Contains(said, world.MasterKey) {
					t.Errorf("a value is told: %q", said)
				}
			})
		}
	}
}
