// The storage account: what the Functions host keeps, the package, and all that Posthorn keeps.
param name string
param location string
param tags object
param sku string
@description('Whether only private endpoints, and services that Azure trusts, reach the account.')
param closed bool
@description('Days for which a deleted blob can be recovered. 0: not at all.')
param softDeleteDays int
param principalId string

// Names that the code knows: handler/wiring.
var files = 'posthorn-files'
var spool = 'posthorn-messages'
var packages = 'posthorn-packages'
var deadEvents = 'posthorn-dead-events'
var reports = 'posthorn-reports'
var dispatch = 'posthorn-dispatch'

resource account 'Microsoft.Storage/storageAccounts@2025-06-01' = {
  name: name
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: { name: sku }
  properties: {
    accessTier: 'Hot'
    allowBlobPublicAccess: false
    allowCrossTenantReplication: false
    allowSharedKeyAccess: false
    defaultToOAuthAuthentication: true
    isLocalUserEnabled: false
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
    publicNetworkAccess: 'Enabled'
    // Event Grid comes through as a trusted service, with its own identity: private endpoints it has none.
    networkAcls: {
      bypass: 'AzureServices'
      defaultAction: closed ? 'Deny' : 'Allow'
    }
    // Links of recipients are signed for minutes; what is longer is logged, not refused.
    sasPolicy: { sasExpirationPeriod: '07.00:00:00', expirationAction: 'Log' }
  }
}

resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2025-06-01' = {
  parent: account
  name: 'default'
  properties: {
    deleteRetentionPolicy: softDeleteDays > 0 ? { enabled: true, days: softDeleteDays } : { enabled: false }
  }
}

resource containers 'Microsoft.Storage/storageAccounts/blobServices/containers@2025-06-01' = [
  for container in [files, spool, packages, deadEvents]: {
    parent: blobs
    name: container
  }
]

resource queues 'Microsoft.Storage/storageAccounts/queueServices@2025-06-01' = {
  parent: account
  name: 'default'
}

resource queue 'Microsoft.Storage/storageAccounts/queueServices/queues@2025-06-01' = [
  for name in [dispatch, reports]: {
    parent: queues
    name: name
  }
]

// A net behind Posthorn's own timer. Each rule names its container: without one it would take the package too.
resource lifecycle 'Microsoft.Storage/storageAccounts/managementPolicies@2025-06-01' = {
  parent: account
  name: 'default'
  properties: {
    policy: {
      rules: [
        {
          name: 'files-that-were-forgotten'
          type: 'Lifecycle'
          definition: {
            filters: { blobTypes: ['blockBlob'], prefixMatch: ['${files}/'] }
            actions: { baseBlob: { delete: { daysAfterCreationGreaterThan: 400 } } }
          }
        }
        {
          name: 'messages-that-were-forgotten'
          type: 'Lifecycle'
          definition: {
            filters: { blobTypes: ['blockBlob'], prefixMatch: ['${spool}/'] }
            actions: { baseBlob: { delete: { daysAfterCreationGreaterThan: 60 } } }
          }
        }
        {
          name: 'events-that-nobody-took'
          type: 'Lifecycle'
          definition: {
            filters: { blobTypes: ['blockBlob'], prefixMatch: ['${deadEvents}/'] }
            actions: { baseBlob: { delete: { daysAfterCreationGreaterThan: 30 } } }
          }
        }
      ]
    }
  }
  dependsOn: [containers]
}

// On the account, since the host makes its own containers, queues and tables, and Posthorn its tables:
// - Storage Blob Data Owner: the host's leases and secrets; the package; files, and the keys that sign their links
// - Storage Queue Data Contributor: wake-up messages, and the host's poison queues
// - Storage Table Data Contributor: all that Posthorn knows, and the host's diagnostic events
var roles = [
  'b7e6dc6d-f1e8-4753-8033-0f276bb0955b'
  '974c5e8b-45b9-4653-ba55-5f855dd0fb88'
  '0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3'
]

resource assignments 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for role in roles: {
    scope: account
    name: guid(account.id, principalId, role)
    properties: {
      principalId: principalId
      principalType: 'ServicePrincipal'
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role)
    }
  }
]

output id string = account.id
output name string = account.name
output blob string = 'https://${account.name}.blob.${environment().suffixes.storage}'
output queue string = 'https://${account.name}.queue.${environment().suffixes.storage}'
output table string = 'https://${account.name}.table.${environment().suffixes.storage}'
output packages string = '${account.properties.primaryEndpoints.blob}${packages}'
output reports string = reports
output deadEvents string = deadEvents
