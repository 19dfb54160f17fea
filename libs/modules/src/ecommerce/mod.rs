//! Online shop: catalogue, cart and checkout, fulfilment, reviews, customers, sellers.

use crate::module::{Module, Nav, feature, item};
use crate::setting::{money, switch};

/// See `docs/contract/ecommerce.yaml`.
pub static MODULE: Module = Module {
    id: "ecommerce",
    title: "Online shop",
    prefix: "/api/v1/ecommerce",
    features: &[
        feature(
            "ecommerce.products",
            "Product catalogue",
            &[],
            &["/api/v1/ecommerce/products", "/api/v1/ecommerce/categories"],
        ),
        feature(
            "ecommerce.cart",
            "Cart and checkout",
            &["ecommerce.products"],
            &["/api/v1/ecommerce/cart"],
        ),
        feature(
            "ecommerce.orders",
            "Order fulfilment",
            &["ecommerce.cart"],
            &["/api/v1/ecommerce/orders"],
        ),
        feature(
            "ecommerce.reviews",
            "Product reviews",
            &["ecommerce.products"],
            &["/api/v1/ecommerce/reviews"],
        ),
        feature(
            "ecommerce.customers",
            "Customer records",
            &["ecommerce.orders"],
            &["/api/v1/ecommerce/customers"],
        ),
        feature(
            "ecommerce.sellers",
            "Marketplace sellers",
            &["ecommerce.products"],
            &["/api/v1/ecommerce/sellers"],
        ),
    ],
    nav: Nav {
        label: "Products",
        icon: "shopping-cart",
        path: "/products",
        items: &[
            item("Products", "/products", "ecommerce.products", "public"),
            item("Cart", "/cart", "ecommerce.cart", "public"),
            item("Orders", "/shop/orders", "ecommerce.orders", "user"),
            item("Reviews", "/shop/reviews", "ecommerce.reviews", "staff"),
            item("Customers", "/shop/customers", "ecommerce.customers", "staff"),
            item("Sellers", "/sellers", "ecommerce.sellers", "public"),
        ],
    },
    settings: &[
        money("ecommerce.shippingStandard", "5.90").public(),
        money("ecommerce.shippingExpress", "14.90").public(),
        money("ecommerce.freeShippingFrom", "75.00").public().nullable(),
        switch("ecommerce.reviewsAutoPublish", true),
        switch("ecommerce.lowStockAlert", true),
    ],
    journals: &[],
    tables: include_str!("tables.sql"),
    seed: include_str!("seed.sql"),
};
