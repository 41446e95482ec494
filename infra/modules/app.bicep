// The function app: a Flex Consumption plan, the site, its settings, and the package.
param name string
param planName string
param location string
param tags object
@description('What an instance gets, and how much it takes at once: see memory.json.')
param memory object
param maximumInstances int
param zoneRedundant bool
param identityId string
param identityClientId string
param storageName string
param packagesUrl string
@description('Empty: the site goes out by itself.')
param subnetId string
param settings object
@description('Address of a zip to deploy; empty: something else brings the package.')
param packageUri string

resource plan 'Microsoft.Web/serverfarms@2024-11-01' = {
  name: planName
  location: location
  tags: tags
  kind: 'functionapp'
  sku: { name: 'FC1', tier: 'FlexConsumption' }
  properties: {
    reserved: true
    zoneRedundant: zoneRedundant
  }
}

resource site 'Microsoft.Web/sites@2024-11-01' = {
  name: name
  location: location
  tags: union(tags, { 'azd-service-name': 'posthorn' })
  kind: 'functionapp,linux'
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: { '${identityId}': {} }
  }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    keyVaultReferenceIdentity: identityId
    virtualNetworkSubnetId: empty(subnetId) ? null : subnetId
    siteConfig: {
      minTlsVersion: '1.2'
      ftpsState: 'Disabled'
      http20Enabled: true
    }
    functionAppConfig: {
      runtime: { name: 'custom', version: '1.0' }
      deployment: {
        storage: {
          type: 'blobContainer'
          value: packagesUrl
          authentication: { type: 'UserAssignedIdentity', userAssignedIdentityResourceId: identityId }
        }
      }
      scaleAndConcurrency: {
        instanceMemoryMB: memory.instanceMB
        maximumInstanceCount: maximumInstances
        triggers: { http: { perInstanceConcurrency: memory.requestsAtOnce } }
      }
    }
  }

  // A PUT replaces all settings: they stand in one place, and no other is told of any.
  resource all 'config' = {
    name: 'appsettings'
    properties: union(
      {
        AzureWebJobsStorage__accountName: storageName
        AzureWebJobsStorage__credential: 'managedidentity'
        AzureWebJobsStorage__clientId: identityClientId
        POSTHORN_QUEUE__credential: 'managedidentity'
        POSTHORN_QUEUE__clientId: identityClientId
        AZURE_CLIENT_ID: identityClientId
        AzureWebJobsDisableHomepage: 'true'
        FUNCTIONS_REQUEST_BODY_SIZE_LIMIT: string(memory.hostBodyBytes)
        POSTHORN_MAX_REQUEST_BYTES: string(memory.bodyBytes)
        POSTHORN_MEMORY_MB: string(memory.handlerMB)
        POSTHORN_PUBLIC_URL: 'https://${site.properties.defaultHostName}'
      },
      settings
    )
  }

  // The users of basic authentication would be two more keys.
  resource scm 'basicPublishingCredentialsPolicies' = {
    name: 'scm'
    properties: { allow: false }
  }
  resource ftp 'basicPublishingCredentialsPolicies' = {
    name: 'ftp'
    properties: { allow: false }
  }

  resource package 'extensions' = if (!empty(packageUri)) {
    name: 'onedeploy'
    #disable-next-line BCP187 // the types lack it: github.com/Azure/bicep-types-az issue 2249
    properties: { packageUri: packageUri, remoteBuild: false }
    dependsOn: [all]
  }
}

output id string = site.id
output name string = site.name
output url string = 'https://${site.properties.defaultHostName}'
