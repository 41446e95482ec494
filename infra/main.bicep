// Posthorn with all that it needs, in one resource group. See README.md beside it.
metadata name = 'Posthorn'
metadata description = 'HTTP in, e-mail out, on Azure Communication Services.'

@description('Region of the function app, storage and vault. `az functionapp list-flexconsumption-locations` lists them.')
param location string = resourceGroup().location

@minLength(2)
@maxLength(12)
@description('Prefix of the names of all resources: lower-case letters and digits.')
param name string = 'posthorn'

@description('Tags of all resources.')
param tags object = {}

@description('Names of single resources, for tenants with naming rules. All other names are made from name.')
param names object = {}

@description('Geography in which Communication Services keeps messages. It cannot be changed later.')
@allowed([
  'Africa'
  'Asia Pacific'
  'Australia'
  'Brazil'
  'Canada'
  'Europe'
  'France'
  'Germany'
  'India'
  'Japan'
  'Korea'
  'Norway'
  'Switzerland'
  'UAE'
  'UK'
  'United States'
  'usgov'
])
param dataLocation string

@description('Memory of an instance, concurrent requests and body limits, as one choice.')
@allowed(['standard', 'small-bodies', 'small', 'large-bodies'])
param memory string = 'standard'

@minValue(40)
@maxValue(1000)
@description('Largest number of instances for HTTP. Azure may exceed it for a while. The sending quota holds anyway.')
param maximumInstances int = 40

@description('Whether instances and storage use several availability zones, if the region has them.')
param zoneRedundant bool = false

@description('Whether storage and vault answer only in a virtual network of this deployment.')
param private bool = false

@description('Address range of that network.')
param networkRange string = '10.90.0.0/24'

@description('Whether purge protection is on: nobody can purge a deleted vault early. It cannot be switched off later.')
param purgeProtection bool = false

@minValue(7)
@maxValue(90)
@description('Days for which a deleted vault can be recovered.')
param vaultRetentionDays int = 7

@description('Days for which deleted files can be recovered. 0: not at all.')
param fileRetentionDays int = 0

@description('Days for which telemetry is kept.')
param telemetryRetentionDays int = 30

@description('Daily cap of telemetry in gigabytes. -1: no cap.')
param telemetryDailyGB int = 1

@description('Resource ids of verified domains to link. Linked domains stay linked. `posthorn domain link` links one without a deployment.')
param linkedDomains array = []

@description('Setting POSTHORN_QUOTA. Empty: the current value, or managed-domain at the first deployment. `posthorn domain link` sets it.')
@allowed(['', 'managed-domain', 'custom-domain', 'custom'])
param quota string = ''

@secure()
@description('Settings by name. They override those of the template and the current ones.')
param settings object = {}

@description('Id of a role that may only send. Empty: Communication and Email Service Owner on the Communication Services resource.')
param sendRoleId string = ''

@description('Object ids of the operators: people, groups or applications. Default: the account that deploys. Operators may read the master key.')
param operators array = [deployer().objectId]

@description('Setting POSTHORN_HISTORY_DAYS: 1 to 365. 0: the current value, or 30 at the first deployment.')
@minValue(0)
@maxValue(365)
param historyDays int = 0

@description('E-mail address for alerts and for the budget.')
param alertEmail string = ''

@description('Monthly budget, in the currency of the subscription. 0: none. It needs alertEmail.')
param budget int = 0

@description('First day of the month in which the budget begins, this month or later. Later deployments do not change it.')
param budgetStart string = utcNow('yyyy-MM-01')

@description('Address of the zip of a release. Empty: azd or another tool deploys the package.')
param packageUri string = ''

@secure()
@description('Random value for the master key. Only the first deployment uses it.')
param seed string = '${newGuid()}${newGuid()}'

var suffix = uniqueString(subscription().id, resourceGroup().id, name)
var given = union(
  {
    identity: '${name}-identity'
    communication: '${name}-acs-${suffix}'
    email: '${name}-email-${suffix}'
    storage: take('${name}${suffix}', 24)
    vault: take('kv-${suffix}', 24)
    plan: '${name}-plan'
    site: '${name}-${suffix}'
    topic: '${name}-events'
    network: '${name}-net'
    people: '${name}-people'
    budget: '${name}-budget'
    insights: '${name}-insights'
    workspace: '${name}-logs'
  },
  names
)
var memories = loadJsonContent('memory.json')

module identity 'modules/identity.bicep' = {
  params: { name: given.identity, location: location, tags: tags }
}

module communication 'modules/communication.bicep' = {
  params: {
    name: given.communication
    emailServiceName: given.email
    tags: tags
    dataLocation: dataLocation
    linkedDomains: linkedDomains
    principalId: identity.outputs.principalId
    sendRoleId: sendRoleId
  }
}

module storage 'modules/storage.bicep' = {
  params: {
    name: given.storage
    location: location
    tags: tags
    sku: zoneRedundant ? 'Standard_ZRS' : 'Standard_LRS'
    closed: private
    softDeleteDays: fileRetentionDays
    principalId: identity.outputs.principalId
  }
}

module vault 'modules/vault.bicep' = {
  params: {
    name: given.vault
    location: location
    tags: tags
    closed: private
    purgeProtection: purgeProtection
    retentionDays: vaultRetentionDays
    principalId: identity.outputs.principalId
    masterKey: replace(seed, '-', '')
  }
}

module people 'modules/operators.bicep' = {
  params: {
    operators: operators
    storageName: storage.outputs.name
    vaultName: vault.outputs.name
    secretName: vault.outputs.secretName
  }
}

module events 'modules/events.bicep' = {
  params: {
    name: given.topic
    tags: tags
    serviceId: communication.outputs.id
    storageName: storage.outputs.name
    queueName: storage.outputs.reports
    deadContainerName: storage.outputs.deadEvents
    secondsToLive: 86400
  }
}

module insights 'modules/insights.bicep' = {
  params: {
    name: given.insights
    workspaceName: given.workspace
    location: location
    tags: tags
    retentionDays: telemetryRetentionDays
    dailyGB: telemetryDailyGB
    principalId: identity.outputs.principalId
  }
}

module network 'modules/network.bicep' = if (private) {
  params: {
    name: given.network
    prefix: name
    location: location
    tags: tags
    range: networkRange
    storageId: storage.outputs.id
    vaultId: vault.outputs.id
  }
}

module app 'modules/app.bicep' = {
  params: {
    name: given.site
    planName: given.plan
    location: location
    tags: tags
    memory: memories[memory]
    maximumInstances: maximumInstances
    zoneRedundant: zoneRedundant
    identityId: identity.outputs.id
    identityClientId: identity.outputs.clientId
    storageName: storage.outputs.name
    packagesUrl: storage.outputs.packages
    subnetId: private ? network.?outputs.subnetId ?? '' : ''
    packageUri: packageUri
    insightsName: insights.outputs.name
    firstSettings: {
      POSTHORN_MASTER_KEY: '@Microsoft.KeyVault(SecretUri=${vault.outputs.masterKeyUri})'
      POSTHORN_QUOTA: 'managed-domain'
    }
    ownSettings: union(
      {
        POSTHORN_ACS_ENDPOINT: communication.outputs.endpoint
        POSTHORN_BLOB_ENDPOINT: storage.outputs.blob
        POSTHORN_QUEUE_ENDPOINT: storage.outputs.queue
        POSTHORN_QUEUE__queueServiceUri: storage.outputs.queue
        POSTHORN_TABLE_ENDPOINT: storage.outputs.table
      },
      empty(quota) ? {} : { POSTHORN_QUOTA: quota },
      historyDays == 0 ? {} : { POSTHORN_HISTORY_DAYS: string(historyDays) }
    )
    givenSettings: settings
  }
}

module alerts 'modules/alerts.bicep' = {
  params: {
    prefix: name
    groupName: given.people
    tags: tags
    serviceId: communication.outputs.id
    siteId: app.outputs.id
    topicId: events.outputs.topicId
    insightsId: insights.outputs.id
    historyDays: historyDays == 0 ? 30 : historyDays
    email: alertEmail
  }
}

module warning 'modules/budget.bicep' = if (budget > 0 && !empty(alertEmail)) {
  params: { name: given.budget, amount: budget, start: budgetStart, email: alertEmail }
}

// What `posthorn connect` keeps. Nothing here is a secret; the quota stands in the settings of the app.
output POSTHORN_URL string = app.outputs.url
output POSTHORN_APP string = app.outputs.name
output POSTHORN_SENDER string = communication.outputs.sender
output POSTHORN_ACS_ENDPOINT string = communication.outputs.endpoint
output POSTHORN_COMMUNICATION_SERVICE string = communication.outputs.name
output POSTHORN_EMAIL_SERVICE string = communication.outputs.emailService
output POSTHORN_STORAGE string = storage.outputs.name
output POSTHORN_BLOB_ENDPOINT string = storage.outputs.blob
output POSTHORN_QUEUE_ENDPOINT string = storage.outputs.queue
output POSTHORN_TABLE_ENDPOINT string = storage.outputs.table
output POSTHORN_VAULT string = vault.outputs.name
output POSTHORN_EVENT_TOPIC string = events.outputs.topicName
