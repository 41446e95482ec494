// What `azd up` deploys: the group, and main.bicep in it.
targetScope = 'subscription'

@minLength(1)
@maxLength(64)
@description('Name of the azd environment.')
param environmentName string

@description('Region.')
@metadata({ azd: { type: 'location' } })
param location string

@description('Geography in which Communication Services keeps messages. It cannot be changed later.')
param dataLocation string

@description('Parameters of main.bicep, by name. They override its defaults.')
param options object = {}

resource group 'Microsoft.Resources/resourceGroups@2024-11-01' = {
  name: 'rg-${environmentName}'
  location: location
  tags: union({ 'azd-env-name': environmentName }, options.?tags ?? {})
}

module posthorn 'main.bicep' = {
  scope: group
  params: {
    location: location
    dataLocation: dataLocation
    tags: options.?tags
    names: options.?names
    name: options.?name
    memory: options.?memory
    maximumInstances: options.?maximumInstances
    zoneRedundant: options.?zoneRedundant
    private: options.?private
    networkRange: options.?networkRange
    purgeProtection: options.?purgeProtection
    vaultRetentionDays: options.?vaultRetentionDays
    fileRetentionDays: options.?fileRetentionDays
    telemetryRetentionDays: options.?telemetryRetentionDays
    telemetryDailyGB: options.?telemetryDailyGB
    linkedDomains: options.?linkedDomains
    quota: options.?quota
    historyDays: options.?historyDays
    settings: options.?settings
    sendRoleId: options.?sendRoleId
    operators: options.?operators
    alertEmail: options.?alertEmail
    budget: options.?budget
    budgetStart: options.?budgetStart
  }
}

output AZURE_RESOURCE_GROUP string = group.name
output POSTHORN_URL string = posthorn.outputs.POSTHORN_URL
output POSTHORN_APP string = posthorn.outputs.POSTHORN_APP
output POSTHORN_SENDER string = posthorn.outputs.POSTHORN_SENDER
output POSTHORN_ACS_ENDPOINT string = posthorn.outputs.POSTHORN_ACS_ENDPOINT
output POSTHORN_COMMUNICATION_SERVICE string = posthorn.outputs.POSTHORN_COMMUNICATION_SERVICE
output POSTHORN_EMAIL_SERVICE string = posthorn.outputs.POSTHORN_EMAIL_SERVICE
output POSTHORN_STORAGE string = posthorn.outputs.POSTHORN_STORAGE
output POSTHORN_BLOB_ENDPOINT string = posthorn.outputs.POSTHORN_BLOB_ENDPOINT
output POSTHORN_QUEUE_ENDPOINT string = posthorn.outputs.POSTHORN_QUEUE_ENDPOINT
output POSTHORN_TABLE_ENDPOINT string = posthorn.outputs.POSTHORN_TABLE_ENDPOINT
output POSTHORN_VAULT string = posthorn.outputs.POSTHORN_VAULT
output POSTHORN_EVENT_TOPIC string = posthorn.outputs.POSTHORN_EVENT_TOPIC
