// As production, and storage and vault are reached through a network of its own alone.
using 'main.bicep'

param dataLocation = 'Europe'
param memory = 'standard'
param maximumInstances = 100
param zoneRedundant = true
param private = true
param networkRange = '10.90.0.0/24'
param purgeProtection = true
param vaultRetentionDays = 90
param fileRetentionDays = 7
param telemetryRetentionDays = 90
param telemetryDailyGB = 5
