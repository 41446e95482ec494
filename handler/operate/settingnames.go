package main

import "github.com/posthorn/posthorn/handler/settings"

// Names of settings that several commands read or write. A test holds them, and all others
// that this program names, against package settings.
const (
	blobEndpoint  = "POSTHORN_BLOB_ENDPOINT"
	tableEndpoint = "POSTHORN_TABLE_ENDPOINT"
	queueEndpoint = "POSTHORN_QUEUE_ENDPOINT"
	acsEndpoint   = "POSTHORN_ACS_ENDPOINT"
	acsVersion    = "POSTHORN_ACS_API_VERSION"

	quotaSetting = "POSTHORN_QUOTA"
	quotaManaged = "managed-domain"
	quotaCustom  = "custom-domain" // the default
)

// defaultOf is what the handler takes for a setting that is not set.
func defaultOf(name string) string {
	for _, row := range settings.Table() {
		if row.Variable == name {
			return row.Default
		}
	}
	return ""
}
