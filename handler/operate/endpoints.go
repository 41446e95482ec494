package main

import (
	"fmt"

	"github.com/posthorn/posthorn/handler/operate/azure"
)

// endpoint is a setting that says where a part of a deployment is, with the hosts that it may
// name.
type endpoint struct {
	name    string
	isAzure func(address string) bool
	example string
}

func endpoints() []endpoint {
	return []endpoint{
		{blobEndpoint, azure.IsStorage, "https://ACCOUNT.blob.core.windows.net"},
		{tableEndpoint, azure.IsStorage, "https://ACCOUNT.table.core.windows.net"},
		{queueEndpoint, azure.IsStorage, "https://ACCOUNT.queue.core.windows.net"},
		{acsEndpoint, azure.IsCommunication, "https://NAME.REGION.communication.azure.com"},
	}
}

// foreign tells whether an address is neither Azure's nor this computer's. One that is not
// set is not foreign.
func (e endpoint) foreign(address string) bool {
	return address != "" && !e.isAzure(address) && !azure.IsLocal(address)
}

// refuseForeign protects the operator's tokens: an account that may write the app's
// settings could name a host of its own in them.
func refuseForeign(settings map[string]string) error {
	for _, e := range endpoints() {
		if address := settings[e.name]; e.foreign(address) {
			return fmt.Errorf("%s names the host %q, which is not Azure's. No token is sent there. Set it to an address such as %s", e.name, hostOf(address), e.example)
		}
	}
	return nil
}

// endpoints are the names of these settings, by whether the environment has them.
func (c *console) endpoints() (set, unset []string) {
	for _, e := range endpoints() {
		if c.has(e.name) {
			set = append(set, e.name)
		} else {
			unset = append(unset, e.name)
		}
	}
	return set, unset
}
