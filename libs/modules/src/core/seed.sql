-- Demo data of the core application. Every instant is relative to the transaction's and lies in the past.

-- A logo, six accounts and their avatars: one statement, since an avatar has an owner and an account an avatar.
-- The password of all six is Preview123! (argon2id, hashed once: nothing is hashed while a session is prepared).
WITH account (name, full_name, email, role, initials, light, dark, phone, age, last_seen, version) AS (
    VALUES
        ('ada', 'Ada Preview', 'admin@preview.local', 'ADMIN', 'AP', '#4f46e5', '#0ea5e9', '+1 555 0101', interval '89 days', interval '2 hours', 1),
        ('mira', 'Mira Solberg', 'mira.solberg@preview.local', 'STAFF', 'MS', '#0f766e', '#65a30d', '+47 555 0102', interval '77 days', interval '20 hours', 1),
        ('noah', 'Noah Okafor', 'noah.okafor@preview.local', 'USER', 'NO', '#b45309', '#f59e0b', '+44 555 0105', interval '58 days', interval '10 days 20 hours', 1),
        ('tomas', 'Tomas Reyes', 'tomas.reyes@preview.local', 'STAFF', 'TR', '#9d174d', '#f472b6', NULL, interval '41 days', interval '9 days', 2),
        ('aiko', 'Aiko Tanabe', 'aiko.tanabe@preview.local', 'USER', 'AT', '#6d28d9', '#ec4899', '+1 555 0104', interval '29 days', interval '6 hours', 1),
        ('lena', 'Lena Brandt', 'lena.brandt@preview.local', 'USER', 'LB', '#1d4ed8', '#22d3ee', NULL, interval '27 days', interval '33 hours', 1)
), drawing (name, owner, alt_text, age, svg) AS (
    SELECT 'avatar-' || name, name, 'Portrait of ' || full_name, age, format(
        '<svg xmlns="http://www.w3.org/2000/svg" width="160" height="160" viewBox="0 0 160 160">'
        '<defs><linearGradient id="g" x2="1" y2="1"><stop stop-color="%s"/><stop offset="1" stop-color="%s"/>'
        '</linearGradient></defs><rect width="160" height="160" fill="url(#g)"/><text x="80" y="82" fill="#fff" '
        'font-family="system-ui,sans-serif" font-size="64" font-weight="600" text-anchor="middle" '
        'dominant-baseline="central">%s</text></svg>',
        light, dark, initials
    )
    FROM account
    UNION ALL
    SELECT 'logo', 'ada', 'Northwind Studio', interval '88 days',
        '<svg xmlns="http://www.w3.org/2000/svg" width="160" height="160" viewBox="0 0 160 160">'
        '<defs><linearGradient id="g" x2="1" y2="1"><stop stop-color="#4f46e5"/><stop offset="1" stop-color="#0ea5e9"/>'
        '</linearGradient></defs><rect width="160" height="160" rx="36" fill="url(#g)"/>'
        '<path d="M80 26l14 46 40 8-40 8-14 46-14-46-40-8 40-8z" fill="#fff"/>'
        '<path d="M80 26v54H66l14-54zm0 108V80h14z" fill="#c7d2fe"/></svg>'
), drawn AS (
    INSERT INTO uploads
        (id, filename, mime_type, size, sha256, content_key, data, alt_text, owner_id, created_at, updated_at)
    SELECT provisioner.seed_id('uploads/' || name), name || '.svg', 'image/svg+xml', length(data),
        encode(sha256(data), 'hex'), replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''), data,
        alt_text, provisioner.seed_id('users/' || owner), now() - age, now() - age
    FROM drawing, convert_to(svg, 'UTF8') AS data
)
INSERT INTO users
    (id, email, password_hash, name, role, phone, avatar_id, last_login_at, version, created_at, updated_at)
SELECT provisioner.seed_id('users/' || name), email,
    '$argon2id$v=19$m=19456,t=2,p=1$4gWbqEPZBpKJd/Ui0+eOVw$7z4QzoZy1v5Ynj5ai7hBhosfz/4HMPrhCfbCZuywtLg',
    full_name, role, phone, provisioner.seed_id('uploads/avatar-' || name), now() - last_seen, version,
    now() - age, now() - CASE version WHEN 1 THEN age ELSE interval '40 days' END
FROM account;

INSERT INTO user_addresses
    (id, user_id, label, recipient, line1, line2, city, region, postal_code, country, phone, is_default, created_at, updated_at)
SELECT provisioner.seed_id('user_addresses/' || name || '-' || label), provisioner.seed_id('users/' || name), label,
    recipient, line1, line2, city, region, postal_code, country, phone, is_default, now() - age, now() - age
FROM (
    VALUES
        ('aiko', 'Home', 'Aiko Tanabe', '18 Orchard Lane', 'Apt 4', 'Springfield', 'IL', '62704', 'US', '+1 555 0104', true, interval '28 days 12 hours'),
        ('aiko', 'Office', 'Aiko Tanabe', '200 Market Street', 'Floor 6', 'Springfield', 'IL', '62701', 'US', NULL, false, interval '12 days'),
        ('lena', 'Home', 'Lena Brandt', 'Lindenweg 8', NULL, 'Hamburg', NULL, '20099', 'DE', NULL, true, interval '26 days 12 hours'),
        ('noah', 'Workshop', 'Noah Okafor', '3 Mill Yard', NULL, 'Bristol', NULL, 'BS1 4QA', 'GB', '+44 555 0105', true, interval '57 days')
) AS address (name, label, recipient, line1, line2, city, region, postal_code, country, phone, is_default, age);

INSERT INTO settings (id, key, value, updated_by_id, created_at, updated_at)
SELECT provisioner.seed_id('settings/' || key), key, to_jsonb(value), provisioner.seed_id('users/ada'),
    now() - interval '88 days', now() - interval '30 days'
FROM (
    VALUES
        ('app.name', 'Northwind Studio'),
        ('app.tagline', 'Everything your customers need, in one place'),
        ('theme.primaryColor', '#4f46e5'),
        ('theme.logoId', provisioner.seed_id('uploads/logo')::text)
) AS stored (key, value);

INSERT INTO faqs (id, question, answer, category, position, created_at, updated_at)
SELECT provisioner.seed_id('faqs/' || category || position), question, answer, category, position,
    now() - interval '80 days', now() - interval '80 days'
FROM (
    VALUES
        ('Account', 1, 'How do I change my password?', 'Open your profile and choose **Change password**. All other devices are signed out when you do.'),
        ('Account', 2, 'Can I keep more than one address?', 'Yes, up to ten. The one you mark as the default is offered first at checkout.'),
        ('Orders', 1, 'When am I charged?', 'When you place the order. Orders paid on delivery stay *pending* until the parcel has been handed over.'),
        ('Orders', 2, 'How do refunds work?', 'Refunds go back to the card that paid. You find the amount and the reason in the details of the order.'),
        ('General', 1, 'Is this a real shop?', 'No. This is a preview: nothing is shipped, no money moves, and everything vanishes when the preview ends.'),
        ('General', 2, 'Where do the e-mails go?', 'Into the mailbox of this preview. Open **Mailbox** in the menu to read them; nothing leaves this page.')
) AS faq (category, position, question, answer);

INSERT INTO announcements (id, title, body, level, audience, is_pinned, starts_at, ends_at, created_at, updated_at)
VALUES
    (provisioner.seed_id('announcements/welcome'), 'Welcome to your preview',
        'Look around, sign in with a demo account and try everything. It is all yours until the preview ends.',
        'success', 'all', true, now() - interval '6 days', NULL, now() - interval '6 days', now() - interval '6 days'),
    (provisioner.seed_id('announcements/stock-count'), 'Stock count on Friday',
        'Please post open adjustments before noon, so that the shelves and the figures agree.',
        'warning', 'staff', false, now() - interval '5 days', now() - interval '1 day', now() - interval '5 days',
        now() - interval '5 days');

INSERT INTO announcement_reads (id, announcement_id, user_id, created_at, updated_at)
VALUES (provisioner.seed_id('announcement_reads/welcome-lena'), provisioner.seed_id('announcements/welcome'),
    provisioner.seed_id('users/lena'), now() - interval '33 hours', now() - interval '33 hours');

INSERT INTO contact_messages
    (id, name, email, subject, message, user_id, status, note, reply, replied_at, version, created_at, updated_at)
VALUES
    (provisioner.seed_id('contact_messages/delivery'), 'Lena Brandt', 'lena.brandt@preview.local',
        'Delivery to a parcel station',
        'Can you deliver to a parcel station instead of my home address? I am rarely in during the day.',
        provisioner.seed_id('users/lena'), 'closed', 'Asked the carrier first.',
        'Yes, that works. Put the number of the station in the second address line and the carrier will find it.',
        now() - interval '9 days 2 hours', 2, now() - interval '9 days 20 hours', now() - interval '9 days 2 hours'),
    (provisioner.seed_id('contact_messages/gift-cards'), 'Priya Raman', 'priya.raman@example.com', 'Gift cards for a team',
        'We would like to give thirty people of our team a small present each. Do you offer gift cards, and is there a discount?',
        NULL, 'new', NULL, NULL, NULL, 1, now() - interval '5 hours', now() - interval '5 hours');

WITH page AS (
    INSERT INTO content_pages
        (id, slug, title, excerpt, body, status, show_in_menu, position, published_at, created_at, updated_at)
    SELECT provisioner.seed_id('content_pages/' || slug), slug, title, excerpt, body, status, show_in_menu, position,
        CASE status WHEN 'published' THEN now() - age END, now() - age, now() - age
    FROM (
        VALUES
            ('about', 'About us', 'Who we are and how we work.', 'published', true, 1, interval '75 days',
                E'Northwind Studio began as a weekend stall and grew into a small team with a workshop, a classroom and a few rooms to meet in.\n\n## What we care about\n\n- Things that last and can be repaired\n- Prices that include a fair wage\n- Answers within a working day'),
            ('privacy', 'Privacy', 'What we store and for how long.', 'published', true, 2, interval '74 days',
                E'This preview stores only what you type into it.\n\n1. Every visitor has a database of their own.\n2. Nobody else can read it.\n3. It is erased when the preview ends.'),
            ('terms', 'Terms', 'The small print, still being written.', 'draft', false, 3, interval '8 days',
                E'**Draft.** These terms are being reviewed and do not apply yet.')
    ) AS draft (slug, title, excerpt, status, show_in_menu, position, age, body)
    RETURNING id, slug, title, body, created_at
)
INSERT INTO content_revisions (id, page_id, number, title, body, editor_id, created_at, updated_at)
SELECT provisioner.seed_id('content_revisions/' || slug || '-1'), id, 1, title, body, provisioner.seed_id('users/mira'),
    created_at, created_at
FROM page;

INSERT INTO coupons
    (id, code, description, kind, value, scope, min_subtotal, starts_at, ends_at, created_at, updated_at)
SELECT provisioner.seed_id('coupons/' || code), code, description, kind, value, scope, min_subtotal, starts_at, ends_at,
    now() - interval '70 days', now() - interval '70 days'
FROM (
    VALUES
        ('WELCOME10', 'Ten percent off for everybody', 'percent', 10.00, 'all', 0.00, NULL, NULL),
        ('SAVE5', 'Five off in the shop from 40', 'fixed', 5.00, 'ecommerce', 40.00, NULL, NULL),
        ('SPRING20', 'Spring sale', 'percent', 20.00, 'all', 0.00, now() - interval '60 days', now() - interval '7 days')
) AS coupon (code, description, kind, value, scope, min_subtotal, starts_at, ends_at);

INSERT INTO notifications (id, user_id, kind, title, body, link, read_at, created_at, updated_at)
SELECT provisioner.seed_id('notifications/' || kind || '-' || name || '-' || age), provisioner.seed_id('users/' || name),
    kind, title, body, link, now() - read_age, now() - age, now() - coalesce(read_age, age)
FROM (
    VALUES
        ('ada', 'core.contact-new', 'New contact message', 'Priya Raman: Gift cards for a team', '/admin/contact/' || provisioner.seed_id('contact_messages/gift-cards'), interval '5 hours', NULL),
        ('mira', 'core.contact-new', 'New contact message', 'Priya Raman: Gift cards for a team', '/admin/contact/' || provisioner.seed_id('contact_messages/gift-cards'), interval '5 hours', NULL),
        ('tomas', 'core.contact-new', 'New contact message', 'Lena Brandt: Delivery to a parcel station', '/admin/contact/' || provisioner.seed_id('contact_messages/delivery'), interval '9 days 20 hours', interval '9 days 3 hours'),
        ('mira', 'core.contact-new', 'New contact message', 'Lena Brandt: Delivery to a parcel station', '/admin/contact/' || provisioner.seed_id('contact_messages/delivery'), interval '9 days 20 hours', interval '9 days 18 hours'),
        ('tomas', 'core.role-changed', 'Your role has changed', 'You are STAFF now.', '/', interval '40 days', interval '39 days')
) AS told (name, kind, title, body, link, age, read_age);

INSERT INTO audit_logs
    (id, actor_id, actor_name, action, entity_type, entity_id, summary, changes, created_at, updated_at)
SELECT provisioner.seed_id('audit_logs/' || action || '/' || entity), provisioner.seed_id('users/' || actor), actor_name,
    action, entity_type, provisioner.seed_id(entity), summary, changes::jsonb, now() - age, now() - age
FROM (
    VALUES
        ('ada', 'Ada Preview', 'core.users.create', 'core.users', 'users/mira', 'Created the account of Mira Solberg', NULL, interval '77 days'),
        ('mira', 'Mira Solberg', 'core.content-pages.create', 'core.content-pages', 'content_pages/about', 'Created the page About us', NULL, interval '75 days'),
        ('ada', 'Ada Preview', 'core.coupons.create', 'core.coupons', 'coupons/WELCOME10', 'Created the coupon WELCOME10', NULL, interval '70 days'),
        ('ada', 'Ada Preview', 'core.users.update', 'core.users', 'users/tomas', 'Changed the role of Tomas Reyes', '{"role": ["USER", "STAFF"]}', interval '40 days'),
        ('ada', 'Ada Preview', 'core.settings.change', 'core.settings', 'settings/theme.primaryColor', 'Changed theme.primaryColor', '{"theme.primaryColor": ["#334155", "#4f46e5"]}', interval '30 days'),
        ('lena', 'Lena Brandt', 'core.auth.register', 'core.users', 'users/lena', 'Registered', NULL, interval '27 days'),
        ('tomas', 'Tomas Reyes', 'core.contact-messages.reply', 'core.contact-messages', 'contact_messages/delivery', 'Replied to Lena Brandt', '{"status": ["new", "closed"]}', interval '9 days 2 hours'),
        ('ada', 'Ada Preview', 'core.auth.login', 'core.users', 'users/ada', 'Signed in', NULL, interval '2 hours')
) AS entry (actor, actor_name, action, entity_type, entity, summary, changes, age);

INSERT INTO emails (id, to_email, to_name, template, subject, text, html, action_url, is_read, created_at, updated_at)
SELECT provisioner.seed_id('emails/' || template), to_email, to_name, template, subject,
    'Hello ' || to_name || E',\n\n' || body || E'\n\n' || label || ': ' || path || E'\n',
    provisioner.seed_html(to_name, body, path, label), path, is_read, now() - age, now() - age
FROM (
    VALUES
        ('core.welcome', 'lena.brandt@preview.local', 'Lena Brandt', 'Welcome to Northwind Studio', 'your account is ready. Look around, and tell us when something is missing.', '/', 'Open Northwind Studio', true, interval '27 days'),
        ('core.contact-received', 'priya.raman@example.com', 'Priya Raman', 'We have your message', 'thank you for writing about "Gift cards for a team". We answer within a working day.', '/contact', 'Write again', false, interval '5 hours')
) AS mail (template, to_email, to_name, subject, body, path, label, is_read, age);
