package azure_test

import (
	"testing"

	"github.com/posthorn/posthorn/handler/operate/azure"
)

// A token is sent to hosts of Azure and to this computer, and to no other.
func TestHostsOfAzure(t *testing.T) {
	t.Parallel()
	const nobody, storage, communication, local = "nobody", "storage", "communication", "local"
	for _, c := range []struct{ name, address, whose string }{
		{"blobs", "https://posthornx.blob.core.windows.net", storage},
		{"queues", "https://posthornx.queue.core.windows.net/", storage},
		{"tables in capitals", "https://PosthornX.Table.Core.Windows.Net", storage},
		{"the second region", "https://posthornx-secondary.table.core.windows.net", storage},
		{"an account with a DNS zone", "https://posthornx.z12.blob.storage.azure.net", storage},
		{"storage of US Government", "https://posthornx.blob.core.usgovcloudapi.net", storage},
		{"storage of China", "https://posthornx.blob.core.chinacloudapi.cn", storage},
		{"storage without TLS", "http://posthornx.blob.core.windows.net", nobody},
		{"storage as the name of a user", "https://posthornx.blob.core.windows.net@evil.example", nobody},
		{"storage before another domain", "https://posthornx.blob.core.windows.net.evil.example", nobody},
		{"storage behind a dash", "https://evil-blob.core.windows.net", nobody},
		{"storage in the path", "https://evil.example/posthornx.blob.core.windows.net", nobody},
		{"a website in storage", "https://posthornx.z6.web.core.windows.net", nobody},
		{"ACS", "https://post.communication.azure.com", communication},
		{"ACS in a region", "https://post.europe.communication.azure.com/", communication},
		{"ACS of US Government", "https://post.usgov.communication.azure.us", communication},
		{"ACS without TLS", "http://post.europe.communication.azure.com", nobody},
		{"ACS before another domain", "https://post.communication.azure.com.evil.example", nobody},
		{"ACS without a dot", "https://evilcommunication.azure.com", nobody},
		{"no resource", "https://communication.azure.com", nobody},
		{"Azurite", "https://devstoreaccount1.blob.localhost:10000", local},
		{"the emulator", "http://127.0.0.1:8026", local},
		{"the emulator by IPv6", "http://[::1]:8026", local},
		{"this computer by its name", "http://LOCALHOST:8026", local},
		{"an address in a name", "http://127.0.0.1.example.com", nobody},
		{"localhost before another domain", "http://localhost.example.com", nobody},
		{"another computer", "http://192.168.1.2:8026", nobody},
		{"another scheme", "ftp://127.0.0.1", nobody},
		{"another host", "https://evil.example", nobody},
		{"nothing", "", nobody},
		{"no address", "http://[::1", nobody},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for whose, is := range map[string]bool{
				storage: azure.IsStorage(c.address), communication: azure.IsCommunication(c.address), local: azure.IsLocal(c.address),
			} {
				if is != (whose == c.whose) {
					t.Errorf("%s: %v", whose, is)
				}
			}
		})
	}
}
