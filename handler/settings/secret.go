package settings

// Secret tells whether the value of a variable opens something, so that it is never
// written anywhere.
func Secret(variable string) bool {
	switch variable {
	case "POSTHORN_MASTER_KEY", "POSTHORN_MASTER_KEY_OLD", "POSTHORN_ACS_ACCESS_KEY",
		"APPLICATIONINSIGHTS_CONNECTION_STRING", "POSTHORN_AZURE_MONITOR_CONNECTION_STRING":
		return true
	}
	return false
}
