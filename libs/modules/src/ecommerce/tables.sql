-- Online shop: catalogue, stock, carts, fulfilment, reviews, customers and sellers.

CREATE TABLE ecommerce_categories (
    id          uuid PRIMARY KEY,
    name        text NOT NULL,
    slug        text NOT NULL UNIQUE,
    description text,
    parent_id   uuid REFERENCES ecommerce_categories ON DELETE RESTRICT,
    image_id    uuid REFERENCES uploads ON DELETE SET NULL,
    position    integer NOT NULL DEFAULT 0,
    created_at  timestamptz(3) NOT NULL DEFAULT now(),
    updated_at  timestamptz(3) NOT NULL DEFAULT now()
);

CREATE TABLE ecommerce_sellers (
    id              uuid PRIMARY KEY,
    user_id         uuid UNIQUE REFERENCES users ON DELETE SET NULL,
    name            text NOT NULL UNIQUE,
    slug            text NOT NULL UNIQUE,
    description     text,
    email           text NOT NULL,
    logo_id         uuid REFERENCES uploads ON DELETE SET NULL,
    commission_rate numeric(12,2) NOT NULL DEFAULT 12.00,
    status          text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'approved', 'suspended')),
    version         integer NOT NULL DEFAULT 1,
    created_at      timestamptz(3) NOT NULL DEFAULT now(),
    updated_at      timestamptz(3) NOT NULL DEFAULT now()
);

CREATE TABLE ecommerce_products (
    id               uuid PRIMARY KEY,
    sku              text NOT NULL UNIQUE,
    slug             text NOT NULL UNIQUE,
    name             text NOT NULL,
    summary          text,
    description      text,
    category_id      uuid NOT NULL REFERENCES ecommerce_categories ON DELETE RESTRICT,
    seller_id        uuid REFERENCES ecommerce_sellers ON DELETE SET NULL,
    price            numeric(12,2) NOT NULL CHECK (price >= 0),
    compare_at_price numeric(12,2),
    stock            integer NOT NULL DEFAULT 0 CHECK (stock >= 0),
    low_stock_at     integer NOT NULL DEFAULT 5,
    status           text NOT NULL DEFAULT 'draft' CHECK (status IN ('draft', 'active', 'archived')),
    is_featured      boolean NOT NULL DEFAULT false,
    rating_average   numeric(12,2) NOT NULL DEFAULT 0.00,
    rating_count     integer NOT NULL DEFAULT 0,
    sold_count       integer NOT NULL DEFAULT 0,
    version          integer NOT NULL DEFAULT 1,
    created_at       timestamptz(3) NOT NULL DEFAULT now(),
    updated_at       timestamptz(3) NOT NULL DEFAULT now(),
    CONSTRAINT ecommerce_products_compare_at_price_check CHECK (compare_at_price IS NULL OR compare_at_price > price)
);
CREATE INDEX ON ecommerce_products (status, created_at);
CREATE INDEX ON ecommerce_products (category_id, status);
CREATE INDEX ON ecommerce_products (status, price);

CREATE TABLE ecommerce_product_images (
    id         uuid PRIMARY KEY,
    product_id uuid NOT NULL REFERENCES ecommerce_products ON DELETE CASCADE,
    upload_id  uuid NOT NULL REFERENCES uploads ON DELETE CASCADE,
    alt_text   text,
    position   integer NOT NULL DEFAULT 0,
    created_at timestamptz(3) NOT NULL DEFAULT now(),
    updated_at timestamptz(3) NOT NULL DEFAULT now(),
    UNIQUE (product_id, upload_id)
);

CREATE TABLE ecommerce_orders (
    id               uuid PRIMARY KEY,
    order_id         uuid NOT NULL UNIQUE REFERENCES orders ON DELETE CASCADE,
    user_id          uuid REFERENCES users ON DELETE SET NULL,
    fulfilment       text NOT NULL DEFAULT 'unfulfilled'
                         CHECK (fulfilment IN ('unfulfilled', 'processing',
                             'shipped', 'delivered', 'cancelled', 'returned')),
    shipping_method  text NOT NULL CHECK (shipping_method IN ('standard', 'express')),
    shipping_address jsonb NOT NULL,
    payment_method   text NOT NULL CHECK (payment_method IN ('card', 'on_delivery')),
    customer_note    text,
    carrier          text,
    tracking_number  text,
    shipped_at       timestamptz(3),
    delivered_at     timestamptz(3),
    cancelled_at     timestamptz(3),
    cancel_reason    text,
    version          integer NOT NULL DEFAULT 1,
    created_at       timestamptz(3) NOT NULL DEFAULT now(),
    updated_at       timestamptz(3) NOT NULL DEFAULT now()
);
CREATE INDEX ON ecommerce_orders (user_id, created_at);
CREATE INDEX ON ecommerce_orders (fulfilment, created_at);

CREATE TABLE ecommerce_stock_movements (
    id            uuid PRIMARY KEY,
    product_id    uuid NOT NULL REFERENCES ecommerce_products ON DELETE CASCADE,
    reason        text NOT NULL CHECK (reason IN ('initial', 'sale', 'cancel', 'return', 'adjustment')),
    delta         integer NOT NULL CHECK (delta <> 0),
    stock_after   integer NOT NULL,
    shop_order_id uuid REFERENCES ecommerce_orders ON DELETE SET NULL,
    note          text,
    created_by_id uuid REFERENCES users ON DELETE SET NULL,
    created_at    timestamptz(3) NOT NULL DEFAULT now(),
    updated_at    timestamptz(3) NOT NULL DEFAULT now()
);
CREATE INDEX ON ecommerce_stock_movements (product_id, created_at);

CREATE TABLE ecommerce_carts (
    id          uuid PRIMARY KEY,
    user_id     uuid UNIQUE REFERENCES users ON DELETE CASCADE,
    token_hash  text UNIQUE,
    coupon_code text,
    created_at  timestamptz(3) NOT NULL DEFAULT now(),
    updated_at  timestamptz(3) NOT NULL DEFAULT now(),
    CONSTRAINT ecommerce_carts_token_hash_check CHECK ((user_id IS NULL) <> (token_hash IS NULL))
);

CREATE TABLE ecommerce_cart_items (
    id         uuid PRIMARY KEY,
    cart_id    uuid NOT NULL REFERENCES ecommerce_carts ON DELETE CASCADE,
    product_id uuid NOT NULL REFERENCES ecommerce_products ON DELETE CASCADE,
    quantity   integer NOT NULL,
    created_at timestamptz(3) NOT NULL DEFAULT now(),
    updated_at timestamptz(3) NOT NULL DEFAULT now(),
    UNIQUE (cart_id, product_id)
);

CREATE TABLE ecommerce_order_items (
    id            uuid PRIMARY KEY,
    shop_order_id uuid NOT NULL REFERENCES ecommerce_orders ON DELETE CASCADE,
    order_item_id uuid NOT NULL UNIQUE REFERENCES order_items ON DELETE CASCADE,
    product_id    uuid REFERENCES ecommerce_products ON DELETE SET NULL,
    seller_id     uuid REFERENCES ecommerce_sellers ON DELETE SET NULL,
    created_at    timestamptz(3) NOT NULL DEFAULT now(),
    updated_at    timestamptz(3) NOT NULL DEFAULT now()
);

CREATE TABLE ecommerce_reviews (
    id          uuid PRIMARY KEY,
    product_id  uuid NOT NULL REFERENCES ecommerce_products ON DELETE CASCADE,
    user_id     uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    rating      integer NOT NULL,
    title       text,
    body        text,
    status      text NOT NULL DEFAULT 'published' CHECK (status IN ('pending', 'published', 'rejected')),
    is_verified boolean NOT NULL DEFAULT false,
    reply       text,
    replied_at  timestamptz(3),
    created_at  timestamptz(3) NOT NULL DEFAULT now(),
    updated_at  timestamptz(3) NOT NULL DEFAULT now(),
    UNIQUE (product_id, user_id)
);
CREATE INDEX ON ecommerce_reviews (product_id, status, created_at);

-- Counters follow the ledger; a customer row is made by the first checkout.
CREATE TABLE ecommerce_customers (
    id               uuid PRIMARY KEY,
    user_id          uuid NOT NULL UNIQUE REFERENCES users ON DELETE CASCADE,
    notes            text,
    marketing_opt_in boolean NOT NULL DEFAULT false,
    orders_count     integer NOT NULL DEFAULT 0,
    total_spent      numeric(12,2) NOT NULL DEFAULT 0.00,
    last_order_at    timestamptz(3),
    created_at       timestamptz(3) NOT NULL DEFAULT now(),
    updated_at       timestamptz(3) NOT NULL DEFAULT now()
);
