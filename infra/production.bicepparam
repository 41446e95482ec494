// To rely on it: several zones, and what is deleted by mistake comes back.
using 'main.bicep'

param dataLocation = 'Europe'
param memory = 'standard'
param maximumInstances = 100
param zoneRedundant = true
param purgeProtection = true
param vaultRetentionDays = 90
param fileRetentionDays = 7
param telemetryRetentionDays = 90
param telemetryDailyGB = 5
