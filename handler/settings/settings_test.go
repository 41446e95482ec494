package settings_test

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/posthorn/posthorn/handler/settings"
)

const masterKey = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

// good is the least that a deployment sets.
func good(changes ...string) []string {
	environ := []string{
		"POSTHORN_PUBLIC_URL=https://mail.example.com/",
		"POSTHORN_MASTER_KEY=" + masterKey,
		"POSTHORN_BLOB_ENDPOINT=https://account.blob.core.windows.net",
		"POSTHORN_TABLE_ENDPOINT=https://account.table.core.windows.net",
		"POSTHORN_QUEUE_ENDPOINT=https://account.queue.core.windows.net",
		"POSTHORN_ACS_ENDPOINT=https://name.germany.communication.azure.com",
	}
	for _, c := range changes {
		name, _, _ := strings.Cut(c, "=")
		for i, e := range environ {
			if strings.HasPrefix(e, name+"=") {
				environ = append(environ[:i], environ[i+1:]...)
				break
			}
		}
		environ = append(environ, c)
	}
	return environ
}

func TestTheLeastIsEnough(t *testing.T) {
	t.Parallel()
	s, err := settings.Load(good())
	if err != nil {
		t.Fatal(err)
	}
	if s.PublicURL != "https://mail.example.com" || s.Port != 7071 || s.Quota != "custom-domain" || s.RequestTimeout != 100*time.Second || s.Production {
		t.Errorf("got %+v", s)
	}
}

func TestThePublicURLMayBeAzures(t *testing.T) {
	t.Parallel()
	s, err := settings.Load(good("POSTHORN_PUBLIC_URL=", "WEBSITE_HOSTNAME=app.azurewebsites.net"))
	if err != nil || s.PublicURL != "https://app.azurewebsites.net" {
		t.Errorf("got %q, %v", s.PublicURL, err)
	}
}

func TestSeveralAudiences(t *testing.T) {
	t.Parallel()
	s, err := settings.Load(good("POSTHORN_ENTRA_TENANT=11111111-1111-4111-8111-111111111111", "POSTHORN_ENTRA_AUDIENCE=api://posthorn,22222222-2222-4222-8222-222222222222", "POSTHORN_ENTRA_AUTHORITY=http://127.0.0.1:8026"))
	if err != nil || len(s.EntraAudience) != 2 || s.EntraAudience[1] != "22222222-2222-4222-8222-222222222222" {
		t.Errorf("got %q, %v", s.EntraAudience, err)
	}
}

func TestFaultsAreNamedByTheirVariable(t *testing.T) {
	t.Parallel()
	const secret = "hunter2"
	for _, c := range []struct {
		name    string
		changes []string
		want    []string
	}{
		{"nothing set but the port", []string{"POSTHORN_PUBLIC_URL=", "POSTHORN_MASTER_KEY=", "POSTHORN_BLOB_ENDPOINT=", "POSTHORN_TABLE_ENDPOINT=", "POSTHORN_QUEUE_ENDPOINT=", "POSTHORN_ACS_ENDPOINT="},
			[]string{"POSTHORN_PUBLIC_URL: is missing", "POSTHORN_MASTER_KEY: is missing", "POSTHORN_BLOB_ENDPOINT: is missing", "POSTHORN_TABLE_ENDPOINT: is missing", "POSTHORN_QUEUE_ENDPOINT: is missing", "POSTHORN_ACS_ENDPOINT: is missing"}},
		{"port that is a word", []string{"FUNCTIONS_CUSTOMHANDLER_PORT=" + secret}, []string{"FUNCTIONS_CUSTOMHANDLER_PORT: cannot be read as int"}},
		{"port too high", []string{"FUNCTIONS_CUSTOMHANDLER_PORT=65536"}, []string{"FUNCTIONS_CUSTOMHANDLER_PORT: must be at most 65535"}},
		{"port zero", []string{"FUNCTIONS_CUSTOMHANDLER_PORT=0"}, []string{"FUNCTIONS_CUSTOMHANDLER_PORT: must be at least 1"}},
		{"master key too short", []string{"POSTHORN_MASTER_KEY=" + secret}, []string{"POSTHORN_MASTER_KEY: must be 64 characters long"}},
		{"master key not hex", []string{"POSTHORN_MASTER_KEY=" + strings.Repeat("z", 64)}, []string{"POSTHORN_MASTER_KEY: is not a valid hexadecimal"}},
		{"storage without TLS", []string{"POSTHORN_BLOB_ENDPOINT=http://account.blob.core.windows.net"}, []string{"POSTHORN_BLOB_ENDPOINT: must start with https://"}},
		{"unknown credential", []string{"POSTHORN_CREDENTIAL=" + secret}, []string{"POSTHORN_CREDENTIAL: must be one of managed-identity, workload-identity, azure-cli, environment, default"}},
		{"custom quota without figures", []string{"POSTHORN_QUOTA=custom"}, []string{"POSTHORN_QUOTA_PER_MINUTE: is missing", "POSTHORN_QUOTA_PER_HOUR: is missing"}},
		{"hour below minute", []string{"POSTHORN_QUOTA=custom", "POSTHORN_QUOTA_PER_MINUTE=10", "POSTHORN_QUOTA_PER_HOUR=9"}, []string{"POSTHORN_QUOTA_PER_HOUR: must not be smaller"}},
		{"time-out longer than the load balancer's", []string{"POSTHORN_REQUEST_TIMEOUT=10m"}, []string{"POSTHORN_REQUEST_TIMEOUT: must be at most 120s"}},
		{"a body larger than the host's limit", []string{"POSTHORN_HOST_MAX_REQUEST_BYTES=40000000"}, []string{"POSTHORN_MAX_REQUEST_BYTES: must not be larger than POSTHORN_HOST_MAX_REQUEST_BYTES"}},
		{"a host's limit that is a word", []string{"POSTHORN_HOST_MAX_REQUEST_BYTES=" + secret}, []string{"POSTHORN_HOST_MAX_REQUEST_BYTES: cannot be read as int64"}},
		{"language that is none", []string{"POSTHORN_LANGUAGE=!"}, []string{"POSTHORN_LANGUAGE: is not a valid bcp47_language_tag"}},
		{"a tenant that is a name", []string{"POSTHORN_ENTRA_TENANT=example.com", "POSTHORN_ENTRA_AUDIENCE=api://posthorn"}, []string{"POSTHORN_ENTRA_TENANT: is not a valid uuid"}},
		{"a tenant without audience", []string{"POSTHORN_ENTRA_TENANT=11111111-1111-4111-8111-111111111111"}, []string{"POSTHORN_ENTRA_AUDIENCE: is missing"}},
		{"an audience without tenant", []string{"POSTHORN_ENTRA_AUDIENCE=api://posthorn"}, []string{"POSTHORN_ENTRA_TENANT: is missing"}},
		{"an authority without TLS", []string{"POSTHORN_ENTRA_AUTHORITY=http://login.example.com"}, []string{"POSTHORN_ENTRA_AUTHORITY: must start with https://"}},
		{"access key not Base64", []string{"POSTHORN_ACS_ACCESS_KEY=" + secret + "!"}, []string{"POSTHORN_ACS_ACCESS_KEY: is not a valid base64"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := settings.Load(good(c.changes...))
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q is not in %q", want, err)
				}
			}
			if got := strings.Count(err.Error(), "\n") + 1; got != len(c.want) {
				t.Errorf("%d faults, want %d: %v", got, len(c.want), err)
			}
			if strings.Contains(err.Error(), secret) {
				t.Errorf("a value is in %q", err)
			}
		})
	}
}

func TestEveryVariableStandsOnceAndIsExplained(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, r := range settings.Table() {
		if seen[r.Variable] || r.Variable == "" || r.Doc == "" {
			t.Errorf("%+v", r)
		}
		seen[r.Variable] = true
	}
}

// The settings begin with the profile that is the default, and take each other one.
func TestProfilesAreSettings(t *testing.T) {
	t.Parallel()
	for i, p := range settings.Profiles() {
		all := []string{
			"POSTHORN_HOST_MAX_REQUEST_BYTES=" + strconv.FormatInt(p.HostBodyBytes, 10),
			"POSTHORN_MAX_REQUEST_BYTES=" + strconv.FormatInt(p.BodyBytes, 10), "POSTHORN_MEMORY_MB=" + strconv.Itoa(p.HandlerMB),
		}
		if i == 0 {
			all = nil
		}
		s, err := settings.Load(good(all...))
		if err != nil || s.HostMaxRequestBytes != p.HostBodyBytes || s.MaxRequestBytes != p.BodyBytes || s.MemoryMB != p.HandlerMB {
			t.Errorf("%s: %d, %d, %d, %v", p.Name, s.HostMaxRequestBytes, s.MaxRequestBytes, s.MemoryMB, err)
		}
	}
}
