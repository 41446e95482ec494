// Rights of the operators: the commands of posthorn read and write beside the handlers. The rights on
// Azure's own resources, such as domains, come from the operator's roles on the resource group.
@description('Object ids of people, groups or applications.')
param operators array
param storageName string
param vaultName string
param secretName string

resource account 'Microsoft.Storage/storageAccounts@2025-06-01' existing = {
  name: storageName
}

resource vault 'Microsoft.KeyVault/vaults@2025-05-01' existing = {
  name: vaultName

  resource key 'secrets' existing = {
    name: secretName
  }
}

// - Storage Blob Data Contributor: queued messages, and files
// - Storage Queue Data Contributor: wake-up messages
// - Storage Table Data Contributor: callers, hooks, queue entries, dead letters
var roles = [
  'ba92f5b4-2d11-453d-a403-e96b0029c9fe'
  '974c5e8b-45b9-4653-ba55-5f855dd0fb88'
  '0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3'
]

// Without a type: an operator may be a person, a group or an application, and is not new.
resource store 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for i in range(0, length(operators) * length(roles)): {
    scope: account
    name: guid(account.id, operators[i / length(roles)], roles[i % length(roles)])
    properties: {
      principalId: operators[i / length(roles)]
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles[i % length(roles)])
    }
  }
]

// Key Vault Secrets User: keys of callers derive from the master key.
resource read 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for operator in operators: {
    scope: vault::key
    name: guid(vault::key.id, operator, '4633458b-17de-408a-b874-0445c86b69e6')
    properties: {
      principalId: operator
      roleDefinitionId: subscriptionResourceId(
        'Microsoft.Authorization/roleDefinitions',
        '4633458b-17de-408a-b874-0445c86b69e6'
      )
    }
  }
]
