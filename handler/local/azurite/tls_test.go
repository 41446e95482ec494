package azurite

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"testing"
	"time"
)

func TestCertificateIsKeptUntilItsLastMonth(t *testing.T) {
	t.Parallel()
	dir, now := t.TempDir(), time.Now()
	read := func(at time.Time) string {
		t.Helper()
		file, key, err := certificate(dir, at)
		if err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(key); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("key file: %v, error %v", info.Mode(), err)
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	first := read(now)
	if read(now.Add(certificateTime-31*24*time.Hour)) != first {
		t.Error("renewed too early")
	}
	if read(now.Add(certificateTime-29*24*time.Hour)) == first {
		t.Error("not renewed")
	}
}

func TestCertificateIsForAllEndpoints(t *testing.T) {
	t.Parallel()
	certFile, keyFile, err := certificate(t.TempDir(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(pair.Leaf)
	for host, good := range map[string]bool{
		"devstoreaccount1.blob.localhost":  true,
		"devstoreaccount1.queue.localhost": true,
		"devstoreaccount1.table.localhost": true,
		"localhost":                        true,
		"127.0.0.1":                        true,
		"example.com":                      false,
	} {
		if _, err := pair.Leaf.Verify(x509.VerifyOptions{DNSName: host, Roots: roots}); (err == nil) != good {
			t.Errorf("%s: error %v, want good %t", host, err, good)
		}
	}
}
