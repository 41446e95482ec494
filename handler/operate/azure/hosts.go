package azure

import (
	"net"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// The hosts of Azure's clouds: public, US Government, China. An account with Azure DNS
// zones has a zone in its name.
// Sources: learn.microsoft.com, "Storage account overview" and "Azure Communication
// Services: authenticate"; endpoints of the clouds in the Azure CLI's cloud.py.
var (
	storageHost       = regexp.MustCompile(`^[a-z0-9]+(-secondary)?(\.(blob|queue|table)\.core\.(windows\.net|usgovcloudapi\.net|chinacloudapi\.cn)|\.z[0-9]{1,2}\.(blob|queue|table)\.storage\.azure\.net)$`)
	communicationHost = regexp.MustCompile(`^[a-z0-9-]+(\.[a-z0-9-]+)*\.communication\.azure\.(com|us|cn)$`)
)

// IsStorage tells whether an address is a storage account's in one of the clouds, so that
// a token for its data may be sent there.
func IsStorage(address string) bool { return isHost(storageHost, address) }

// IsCommunication tells the same of a Communication Services resource.
func IsCommunication(address string) bool { return isHost(communicationHost, address) }

func isHost(hosts *regexp.Regexp, address string) bool {
	u, err := url.Parse(address)
	return err == nil && u.Scheme == "https" && hosts.MatchString(strings.ToLower(u.Hostname()))
}

// IsLocal tells whether an address is this computer's, where Azurite and emulators are. The
// name localhost and those below it never leave a computer (RFC 6761, section 6.3).
func IsLocal(address string) bool {
	u, err := url.Parse(address)
	if err != nil || !slices.Contains([]string{"http", "https"}, u.Scheme) {
		return false
	}
	host := strings.ToLower(u.Hostname())
	return net.ParseIP(host).IsLoopback() || host == "localhost" || strings.HasSuffix(host, ".localhost")
}
