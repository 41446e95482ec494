// The function app: a Flex Consumption plan, the site, its settings, and the package.
param name string
param planName string
param location string
param tags object
@description('Memory of an instance and its concurrent requests: see memory.json.')
param memory object
param maximumInstances int
param zoneRedundant bool
param identityId string
param identityClientId string
param storageName string
param packagesUrl string
@description('Subnet for outbound traffic. Empty: no virtual network.')
param subnetId string
param insightsName string
@description('Settings of the first deployment.')
param firstSettings object
@description('Settings that follow from other resources and parameters.')
param ownSettings object
@secure()
@description('Settings that the operator gives.')
param givenSettings object
@description('Address of a zip to deploy. Empty: another tool deploys the package.')
param packageUri string

resource insights 'Microsoft.Insights/components@2020-02-02' existing = {
  name: insightsName
}

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

  // The users of basic authentication would be two more keys.
  resource scm 'basicPublishingCredentialsPolicies' = {
    name: 'scm'
    properties: { allow: false }
  }
  resource ftp 'basicPublishingCredentialsPolicies' = {
    name: 'ftp'
    properties: { allow: false }
  }
}

// What is set now is listed here, in another template than the one that sets it: in the same
// one it would wait for itself. Source: avm/res/web/site of github.com/Azure/bicep-registry-modules.
module settings 'settings.bicep' = {
  params: {
    siteName: site.name
    present: list('${site.id}/config/appsettings', '2024-11-01').properties
    first: union({ POSTHORN_PUBLIC_URL: 'https://${site.properties.defaultHostName}' }, firstSettings)
    own: union(
      {
        AzureWebJobsStorage__accountName: storageName
        AzureWebJobsStorage__credential: 'managedidentity'
        AzureWebJobsStorage__clientId: identityClientId
        POSTHORN_QUEUE__credential: 'managedidentity'
        POSTHORN_QUEUE__clientId: identityClientId
        AZURE_CLIENT_ID: identityClientId
        AzureWebJobsDisableHomepage: 'true'
        // Memory is one choice: host.json has the requests of the default one.
        AzureFunctionsJobHost__extensions__http__maxConcurrentRequests: string(memory.requestsAtOnce)
        FUNCTIONS_REQUEST_BODY_SIZE_LIMIT: string(memory.hostBodyBytes)
        POSTHORN_HOST_MAX_REQUEST_BYTES: string(memory.hostBodyBytes)
        POSTHORN_MAX_REQUEST_BYTES: string(memory.bodyBytes)
        POSTHORN_MEMORY_MB: string(memory.handlerMB)
        // The host sends Posthorn's log and what fails (host.json), Posthorn its requests.
        APPLICATIONINSIGHTS_CONNECTION_STRING: insights.properties.ConnectionString
        APPLICATIONINSIGHTS_AUTHENTICATION_STRING: 'ClientId=${identityClientId};Authorization=AAD'
        POSTHORN_AZURE_MONITOR_CONNECTION_STRING: insights.properties.ConnectionString
        POSTHORN_AZURE_MONITOR_IDENTITY: 'true'
      },
      ownSettings
    )
    given: givenSettings
  }
}

resource package 'Microsoft.Web/sites/extensions@2024-11-01' = if (!empty(packageUri)) {
  parent: site
  name: 'onedeploy'
  #disable-next-line BCP187 // the types lack it: github.com/Azure/bicep-types-az issue 2249
  properties: { packageUri: packageUri, remoteBuild: false }
  dependsOn: [settings]
}

output id string = site.id
output name string = site.name
output url string = 'https://${site.properties.defaultHostName}'
