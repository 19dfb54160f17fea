//! What others are told about a running stack.

use anyhow::Result;
use devstack::stack::{Service, Stack};

/// Addresses, process ids and the internal secret, as variables for a command.
pub fn variables(stack: &mut Stack) -> Result<Vec<(&'static str, String)>> {
    let mut variables = addresses(stack)?;
    variables.push(("DATABASE_URL", stack.database().admin().to_string()));
    variables.push((
        "INTERNAL_API_SECRET",
        stack.database().secrets().get("INTERNAL_API_SECRET").to_owned(),
    ));
    let services = [
        ("ORCHESTRATOR_PID", Service::Orchestrator),
        ("PROVISIONER_PID", Service::Provisioner),
        ("TENANT_API_PID", Service::TenantApi(0)),
    ];
    for (name, service) in services {
        variables.push((name, stack.process(service)?.id().to_string()));
    }
    Ok(variables)
}

/// The addresses only: nothing secret.
pub fn addresses(stack: &Stack) -> Result<Vec<(&'static str, String)>> {
    let tenants = (0..stack.tenants())
        .map(|number| stack.url(Service::TenantApi(number)))
        .collect::<Result<Vec<_>>>()?;
    Ok(vec![
        ("PREVIEW_URL", stack.url(Service::Orchestrator)?),
        ("PREVIEW_GRPC_URL", stack.grpc_url()?),
        ("PREVIEW_ADMIN_URL", stack.admin_url(Service::Orchestrator)?),
        ("PROVISIONER_GRPC_URL", stack.url(Service::Provisioner)?),
        ("PROVISIONER_ADMIN_URL", stack.admin_url(Service::Provisioner)?),
        ("TENANT_API_URL", stack.url(Service::TenantApi(0))?),
        ("TENANT_API_URLS", tenants.join(",")),
        ("TENANT_API_ADMIN_URL", stack.admin_url(Service::TenantApi(0))?),
    ])
}
