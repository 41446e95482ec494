// The vault, with the master key: 244 random bits, made once. A second deployment leaves it as it is.
param name string
param location string
param tags object
param closed bool
@description('Whether purge protection is on. It cannot be switched off later.')
param purgeProtection bool
param retentionDays int
param principalId string
@secure()
param masterKey string

resource vault 'Microsoft.KeyVault/vaults@2025-05-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    tenantId: tenant().tenantId
    sku: { family: 'A', name: 'standard' }
    enableRbacAuthorization: true
    enableSoftDelete: true
    softDeleteRetentionInDays: retentionDays
    // false would be refused by the service where it is on already
    enablePurgeProtection: purgeProtection ? true : null
    networkAcls: {
      bypass: 'AzureServices'
      defaultAction: closed ? 'Deny' : 'Allow'
    }
  }
}

@onlyIfNotExists()
resource key 'Microsoft.KeyVault/vaults/secrets@2025-05-01' = {
  parent: vault
  name: 'posthorn-master-key'
  tags: tags
  properties: {
    value: masterKey
    contentType: '64 hex digits'
  }
}

// Key Vault Secrets User: the site reads this one secret, and no other.
resource read 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: key
  name: guid(key.id, principalId, '4633458b-17de-408a-b874-0445c86b69e6')
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId(
      'Microsoft.Authorization/roleDefinitions',
      '4633458b-17de-408a-b874-0445c86b69e6'
    )
  }
}

output id string = vault.id
output name string = vault.name
output masterKeyUri string = '${vault.properties.vaultUri}secrets/${key.name}'
output secretName string = key.name
